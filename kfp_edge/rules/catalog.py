"""What each rule is, why it is there, and how to mend what is against it."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Rule:
    """One rule; `why` and `mend` are whole sentences for the author of a pipeline."""

    code: str
    title: str
    severity: Severity
    why: str
    mend: str

    @property
    def can_be_ignored(self) -> bool:
        """Whether a comment or an option may switch it off: not what a backend refuses anyway."""
        return not self.code.startswith("KE1")

    @property
    def heading(self) -> str:
        """The rule in one line."""
        return f"{self.code} {self.title} ({self.severity})"


_ALL = (
    Rule(
        "KE001",
        "Image not pinned by digest",
        "warning",
        "A tag can be moved to another image. Then the same YAML runs other code, a cached result no longer fits the "
        "code that made it, and nobody can say afterwards what ran.",
        "Name the image as `REPOSITORY@sha256:...`. Our own components take it from the variable "
        "`KFP_EDGE_RUNTIME_IMAGE` when they are compiled.",
    ),
    Rule(
        "KE002",
        "No CPU or memory limit",
        "warning",
        "A task without a memory limit can take the memory of a whole node, and other people's pods die with it. "
        "Namespaces with a quota refuse such a pod.",
        "Call `set_cpu_limit` and `set_memory_limit` on the task.",
    ),
    Rule(
        "KE003",
        "No CPU or memory request",
        "warning",
        "The scheduler places a pod by its requests. Without them Kubernetes reserves as much as the limits say, which "
        "is mostly too much, or nothing when there are no limits either.",
        "Call `set_cpu_request` and `set_memory_request` on the task, with what it usually needs.",
    ),
    Rule(
        "KE004",
        "Packages installed at start-up",
        "warning",
        "The pod needs a package index each time it starts: it is slower, fails when the index does, does not start "
        "in a cluster without internet, and gets other versions tomorrow. KFP does this for every component with "
        "`packages_to_install`, and for every one without `install_kfp_package=False`.",
        "Put the packages (kfp among them) into the image, name it as `base_image`, and set "
        "`install_kfp_package=False`.",
    ),
    Rule(
        "KE005",
        "Side effect with caching on",
        "error",
        "With caching on, a task with the same inputs is not run again: KFP hands out the old outputs. The image is "
        "not pushed, the change not committed, the clean-up not done, and the run is green. The task said itself that "
        "it changes the world outside: it is one of our stages that do, or its pod has the annotation "
        "`kfp-edge.io/side-effect`.",
        "Call `set_caching_options(False)` on the task. Declare a side effect of your own with "
        '`kubernetes.add_pod_annotation(task, "kfp-edge.io/side-effect", "sends the report")`.',
    ),
    Rule(
        "KE006",
        "Secret value in the YAML",
        "error",
        "Compiled YAML is committed, uploaded and shown in the dashboard to everyone who sees the pipeline; KFP also "
        "stores the parameters of each run. A value counts as secret by its format (keys of AWS, tokens of GitHub, "
        "GitLab, OpenShift, Hugging Face and Slack, JSON web tokens, private keys, passwords in URLs) or by the name "
        "of its parameter or variable (`password`, `token`, `access_key`, `client_secret` and the like).",
        "Revoke the secret, put a new one into a Kubernetes Secret, and mount that with `kubernetes.use_secret_as_env` "
        "or `use_secret_as_volume`. A parameter may hold the name of the Secret: call it `..._secret`.",
    ),
    Rule(
        "KE007",
        "Image tag latest",
        "error",
        "The tag `latest`, and no tag at all, name whatever was pushed last. Two tasks of one run can run different "
        "code, and going back to the image of last week is not possible.",
        "Name a version, or better a digest (KE001).",
    ),
    Rule(
        "KE008",
        "Retries without a pause",
        "warning",
        "What fails for the network or a busy service fails again a moment later, and all tries are used up at once.",
        'Give the retry a pause: `set_retry(2, backoff_duration="30s", backoff_factor=2)`.',
    ),
    Rule(
        "KE009",
        "Name of a Secret fixed in the YAML",
        "warning",
        "The pipeline runs only in namespaces that have a Secret of just this name, and moving from test to production "
        "means compiling it again.",
        "Make the name a parameter of the pipeline and hand it to `kubernetes.use_secret_as_env`, "
        "`use_secret_as_volume` or `set_image_pull_secrets`.",
    ),
    Rule(
        "KE010",
        "User that OpenShift AI refuses",
        "error",
        "OpenShift gives each namespace its own range of user numbers. A pod that asks for a number outside of it is "
        "not admitted under the security context constraint `restricted-v2`, root least of all. (Privileged containers "
        "and added capabilities are not even fields of KFP 2.16: those are KE101.)",
        "Leave `runAsUser` out, and build the image so that it runs as any user: what it writes belongs to group 0.",
    ),
    Rule(
        "KE011",
        "Condition on a text",
        "warning",
        "A cluster compares texts well. `kfp.local`, and with it `kfp-edge run`, pastes the value into the expression "
        "instead: a value with a quote in it, such as `it's`, then runs neither the branch nor its `Else`, and the run "
        "is still green.",
        "Compare a number or a boolean: let a component that gets the text decide, and return `bool`. Or allow it "
        "here, when the values are known to hold no quotes.",
    ),
    Rule(
        "KE012",
        "Condition that cannot be read",
        "error",
        "KFP does not escape quotes when it writes a text into a condition. The expression ends too early, and the "
        "backend fails the run when it comes to the task.",
        "Compare with a text that holds no quote.",
    ),
    Rule(
        "KE013",
        "Looks like a side effect, with caching on",
        "warning",
        "What the task runs usually changes something outside: it pushes, applies, uploads or posts. With caching on "
        "it happens once and not again (KE005). This is told from the commands and the calls in the code, so it may be "
        "wrong, and what happens inside an image is not seen at all.",
        "Call `set_caching_options(False)` on the task, or allow it here when repeating it would change nothing.",
    ),
    Rule(
        "KE014",
        "Image built inside the pod",
        "warning",
        "Since KFP 2.16 every user container runs without privilege escalation and with all capabilities dropped, and "
        "a pipeline cannot ask for more. Building or running containers in it fails.",
        "Start a Tekton TaskRun that builds the image, or append a layer without privileges: our stage `containerize` "
        "does both.",
    ),
    Rule(
        "KE099",
        "Comment that allows nothing",
        "warning",
        "A `# kfp-edge:` comment that is not understood, gives no reason, names no rule that can be ignored, or meets "
        "nothing, misleads whoever reads it.",
        "Write `# kfp-edge: ignore KE002 because REASON`, or remove the comment.",
    ),
    Rule(
        "KE100",
        "Not a KFP v2 pipeline",
        "error",
        "The file cannot be read, is not valid YAML, or holds something else than one pipeline of KFP v2.",
        "Compile the pipeline with the KFP SDK 2: `kfp-edge compile` for ours, `kfp dsl compile` for yours.",
    ),
    Rule(
        "KE101",
        "Field that KFP 2.16 does not know, or a value of a wrong type",
        "error",
        "A backend of 2.16, which OpenShift AI has, refuses what is not in its protobuf messages. Newer SDKs write "
        "newer fields.",
        "Compile with kfp, kfp-kubernetes and kfp-pipeline-spec 2.16; do not edit compiled YAML by hand.",
    ),
    Rule(
        "KE102",
        "Parts that do not fit together",
        "error",
        "A task names a component, an executor, a task, an input or an output that is not there, or waits for itself. "
        "The backend refuses the pipeline or the run fails half-way.",
        "Compile the pipeline again; do not edit compiled YAML by hand. If the input is a parameter that a task inside "
        "an ExitHandler, a condition or a loop has as its limit or request: kfp 2.16 forgets to hand it in; call "
        "`task.register_pipeline_channels([parameter])` as well.",
    ),
    Rule(
        "KE103",
        "Something missing that a backend demands",
        "error",
        "A backend checks the schema version, the pipeline's name, its root and what each executor runs before it "
        "takes a pipeline.",
        "Compile the pipeline again; do not edit compiled YAML by hand.",
    ),
)

#: Every rule by its code, in order.
RULES = {rule.code: rule for rule in _ALL}
