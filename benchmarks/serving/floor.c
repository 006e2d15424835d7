/* The floor: an HTTP server that answers every request with one constant, from one thread over epoll.
 *
 *   floor PORT
 *
 * It reads a request as far as it must to find its end, knows keep-alive and nothing else. No server that parses JSON
 * and runs a model can be faster on the same machine. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 64, BUFFER = 1 << 16, CONNECTIONS = 1024 };

static const char BODY[] =
    "{\"model_name\":\"machine-failure\",\"model_version\":\"1\",\"outputs\":["
    "{\"name\":\"label\",\"datatype\":\"INT64\",\"shape\":[1],\"data\":[0]},"
    "{\"name\":\"probabilities\",\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[0.9996,0.0004]}]}";

static struct {
    size_t used;
    char bytes[BUFFER];
} connections[CONNECTIONS];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* Length of the first request in a buffer that ends with a NUL, or 0 if it is not all there yet. */
static size_t request_length(const char *bytes, size_t used) {
    const char *end = memmem(bytes, used, "\r\n\r\n", 4);
    if (end == NULL) return 0;
    size_t length = (size_t)(end + 4 - bytes);
    const char *field = strcasestr(bytes, "\r\ncontent-length:");
    if (field != NULL && field < end) length += strtoul(field + 17, NULL, 10);
    return length <= used ? length : 0;
}

/* Read what is there and answer each whole request; 0 when the connection has ended. */
static int serve(int peer, const char *answer, size_t size) {
    char *bytes = connections[peer].bytes;
    size_t used = connections[peer].used;
    ssize_t got = recv(peer, bytes + used, BUFFER - 1 - used, 0);
    if (got <= 0) return 0;
    used += (size_t)got;
    bytes[used] = 0;
    for (size_t length; (length = request_length(bytes, used)) > 0;) {
        if (send(peer, answer, size, MSG_NOSIGNAL) != (ssize_t)size) return 0;
        memmove(bytes, bytes + length, used - length + 1);
        used -= length;
    }
    connections[peer].used = used;
    return used < BUFFER - 1;
}

static int listen_on(int port) {
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) fail("listen");
    return listener;
}

static void watch(int poll, int descriptor) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event)) fail("epoll_ctl");
}

int main(int count, char **arguments) {
    if (count != 2) {
        fputs("usage: floor PORT\n", stderr);
        return 2;
    }
    char answer[1024];
    int size = snprintf(answer, sizeof answer,
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                        sizeof BODY - 1, BODY);
    int one = 1, poll = epoll_create1(EPOLL_CLOEXEC), listener = listen_on(atoi(arguments[1]));
    watch(poll, listener);
    for (struct epoll_event events[EVENTS];;) {
        int ready = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int peer = events[i].data.fd;
            if (peer == listener) {
                peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                if (peer < 0 || peer >= CONNECTIONS) fail("accept");
                setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                connections[peer].used = 0;
                watch(poll, peer);
            } else if (!serve(peer, answer, (size_t)size)) {
                close(peer);
            }
        }
    }
}
