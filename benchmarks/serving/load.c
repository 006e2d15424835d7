/* Send one request again and again over some connections, and tell how long the answers took.
 *
 *   load http|grpc PORT CONNECTIONS SECONDS < REQUEST
 *
 * A closed loop in one thread: each connection has one request under way, and sends the next when it has the whole
 * answer. REQUEST is an HTTP/1.1 request, or for gRPC a HEADERS and a DATA frame (RFC 9113) whose stream is filled in
 * here. Every # in the head of an HTTP request is replaced by another hexadecimal digit each time, as trace contexts
 * and request ids differ in every request of a real client. Prints one JSON object; times are microseconds from just
 * before the request is sent until its last byte is read.
 * An answer counts as an error when its status is not 200, or when a gRPC call ends without a message. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 64, BUFFER = 1 << 20, REQUEST = 1 << 22, FRAME = 9, REQUEST_DIGITS = 256 };
enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7 };
enum { END_STREAM = 1, ACK = 1 };

struct connection {
    int socket;
    uint32_t stream;
    int has_message;
    double sent;
    size_t used;
    char *bytes;
};

static char request[REQUEST];
static size_t request_size;
static char *digits[REQUEST_DIGITS]; /* where the request has a digit that differs */
static size_t digit_count;
static uint32_t *latencies; /* nanoseconds; a second and more is cut at 4.29 s */
static size_t answered, capacity, errors;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void refuse(const char *why) {
    fprintf(stderr, "error: %s\n", why);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void send_all(int peer, const void *bytes, size_t size) {
    for (const char *next = bytes; size > 0;) {
        ssize_t sent = send(peer, next, size, MSG_NOSIGNAL);
        if (sent < 0) fail("send");
        next += sent;
        size -= (size_t)sent;
    }
}

static uint32_t frame_length(const char *frame) {
    const uint8_t *bytes = (const uint8_t *)frame;
    return (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
}

static void find_digits(void) {
    const char *end = memmem(request, request_size, "\r\n\r\n", 4);
    for (char *next = request; end != NULL && next < end && digit_count < REQUEST_DIGITS; next++) {
        if (*next == '#') digits[digit_count++] = next;
    }
}

/* Write other digits than before: those of a xorshift generator (Marsaglia, "Xorshift RNGs"), 16 from each number. */
static void change_digits(void) {
    static uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < digit_count; i++) {
        if (i % 16 == 0) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
        }
        *digits[i] = "0123456789abcdef"[state >> 4 * (i % 16) & 15];
    }
}

static void send_request(struct connection *one, int grpc) {
    change_digits();
    if (grpc) {
        uint32_t stream = htonl(one->stream);
        memcpy(request + 5, &stream, 4);
        memcpy(request + FRAME + frame_length(request) + 5, &stream, 4);
        one->stream += 2;
        one->has_message = 0;
    }
    one->sent = now();
    send_all(one->socket, request, request_size);
}

static void count_answer(struct connection *one, int good) {
    double nanoseconds = (now() - one->sent) * 1e9;
    if (answered == capacity) {
        capacity = capacity ? 2 * capacity : 1 << 16;
        latencies = realloc(latencies, capacity * sizeof *latencies);
        if (latencies == NULL) fail("realloc");
    }
    latencies[answered++] = nanoseconds < UINT32_MAX ? (uint32_t)nanoseconds : UINT32_MAX;
    errors += !good;
}

static void drop(struct connection *one, size_t size) {
    one->used -= size;
    memmove(one->bytes, one->bytes + size, one->used + 1);
}

/* Size of a chunked body (RFC 9112, section 7.1) without trailers, or 0 when it is not all there yet. */
static size_t chunked_size(const char *body, const char *end) {
    for (const char *chunk = body; chunk < end;) {
        char *line;
        size_t size = strtoul(chunk, &line, 16);
        chunk = line + 2 + size + 2;
        if (size == 0) return chunk <= end ? (size_t)(chunk - body) : 0;
    }
    return 0;
}

/* Take one whole answer off the buffer; 0 when it is not all there yet. */
static int take_http(struct connection *one) {
    const char *head_end = memmem(one->bytes, one->used, "\r\n\r\n", 4), *end = one->bytes + one->used;
    if (head_end == NULL) return 0;
    const char *body = head_end + 4, *field = strcasestr(one->bytes, "\r\ncontent-length:");
    size_t size;
    if (field != NULL && field < head_end) {
        size = strtoul(field + 17, NULL, 10);
        if (size > (size_t)(end - body)) return 0;
    } else {
        size = chunked_size(body, end);
        if (size == 0) return 0;
    }
    count_answer(one, memcmp(one->bytes, "HTTP/1.1 200", 12) == 0);
    drop(one, (size_t)(body - one->bytes) + size);
    return 1;
}

/* Take frames off the buffer until one ends the stream; 0 when none of those that are there does. */
static int take_grpc(struct connection *one) {
    while (one->used >= FRAME) {
        uint32_t length = frame_length(one->bytes);
        if (one->used < FRAME + length) return 0;
        int type = one->bytes[3], flags = one->bytes[4];
        if (type == RST_STREAM || type == GOAWAY) refuse("the server ended a stream or the connection");
        if ((type == SETTINGS || type == PING) && !(flags & ACK)) {
            one->bytes[4] = ACK;
            if (type == SETTINGS) memset(one->bytes, 0, 3);
            send_all(one->socket, one->bytes, type == PING ? FRAME + length : FRAME);
        }
        one->has_message |= type == DATA && length > 0;
        int ended = (type == DATA || type == HEADERS) && flags & END_STREAM;
        if (ended) count_answer(one, one->has_message);
        drop(one, FRAME + length);
        if (ended) return 1;
    }
    return 0;
}

static void open_connection(struct connection *one, int poll, int port, int grpc) {
    /* no settings, then as large a window for the connection as there is; a stream's 64 KiB are enough for an answer */
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                  "\0\0\0\4\0\0\0\0\0"
                                  "\0\0\4\10\0\0\0\0\0\x7f\xff\0\0";
    int yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *one = (struct connection){.socket = socket(AF_INET, SOCK_STREAM, 0), .stream = 1, .bytes = malloc(BUFFER)};
    if (connect(one->socket, (struct sockaddr *)&address, sizeof address)) fail("connect");
    setsockopt(one->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (grpc) send_all(one->socket, preface, sizeof preface - 1);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, one->socket, &event)) fail("epoll_ctl");
}

static void read_answers(struct connection *one) {
    ssize_t got = recv(one->socket, one->bytes + one->used, BUFFER - 1 - one->used, 0);
    if (got < 0) fail("recv");
    if (got == 0) refuse("the server closed a connection, or an answer is larger than 1 MiB");
    one->used += (size_t)got;
    one->bytes[one->used] = 0;
}

static int ascending(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* Nearest-rank percentile of the sorted latencies, in microseconds. */
static double percentile(double share) {
    return latencies[(size_t)(share * (double)(answered - 1) + 0.5)] / 1e3;
}

int main(int count, char **arguments) {
    if (count != 5) {
        fputs("usage: load http|grpc PORT CONNECTIONS SECONDS < REQUEST\n", stderr);
        return 2;
    }
    int grpc = strcmp(arguments[1], "grpc") == 0, connections = atoi(arguments[3]);
    request_size = fread(request, 1, sizeof request, stdin);
    if (!grpc) find_digits();
    struct connection *all = calloc((size_t)connections, sizeof *all);
    int poll = epoll_create1(0);
    for (int i = 0; i < connections; i++) open_connection(&all[i], poll, atoi(arguments[2]), grpc);
    double start = now(), end = start + atof(arguments[4]);
    for (int i = 0; i < connections; i++) send_request(&all[i], grpc);
    while (now() < end) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(poll, events, EVENTS, 1000);
        for (int i = 0; i < ready; i++) {
            struct connection *one = events[i].data.ptr;
            read_answers(one);
            if (grpc ? take_grpc(one) : take_http(one)) send_request(one, grpc);
        }
    }
    double seconds = now() - start;
    if (answered == 0) refuse("no answer came in time");
    qsort(latencies, answered, sizeof *latencies, ascending);
    printf("{\"answers\": %zu, \"errors\": %zu, \"seconds\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", answered,
           errors, seconds, percentile(0.5), percentile(0.99));
    return 0;
}
