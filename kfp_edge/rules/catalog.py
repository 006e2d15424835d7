"""The rules: code, title, severity, why each exists, and how to fix what violates it."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Rule:
    """One rule; `why` and `fix` are complete sentences for the author of a pipeline."""

    code: str
    title: str
    severity: Severity
    why: str
    fix: str

    @property
    def can_be_ignored(self) -> bool:
        """Whether a comment or an option may disable it; what a backend refuses cannot be ignored."""
        return not self.code.startswith("KE1")

    @property
    def heading(self) -> str:
        """Code, title and severity in one line."""
        return f"{self.code} {self.title} ({self.severity})"


_ALL = (
    Rule(
        "KE001",
        "Image not pinned by digest",
        "warning",
        "A tag can be moved to another image. Then the same YAML runs other code, a cached result no longer fits the "
        "code that produced it, and nobody can say afterwards what ran.",
        "Name the image as `REPOSITORY@sha256:...`. The components of kfp-edge take theirs from the environment "
        "variable `KFP_EDGE_RUNTIME_IMAGE` at compile time.",
    ),
    Rule(
        "KE002",
        "No CPU or memory limit",
        "warning",
        "A task without a memory limit can use up the memory of a node, and the pods of others are evicted or killed. "
        "A namespace with a resource quota on limits rejects such a pod. There it rejects one with limits, too: Argo "
        "adds the containers `init` and `wait`, which have none, and only a LimitRange gives them some.",
        "Call `set_cpu_limit` and `set_memory_limit` on the task. In a namespace with a quota, create a LimitRange "
        "with defaults as well, such as the one of deploy/openshift/quota; `kfp-edge doctor PIPELINE` finds whether it "
        "is missing.",
    ),
    Rule(
        "KE003",
        "No CPU or memory request",
        "warning",
        "The scheduler places a pod by its requests. Without them Kubernetes requests as much as the limits, which is "
        "usually too much, or nothing when there are no limits either. A quota on requests counts like one on limits "
        "(KE002).",
        "Call `set_cpu_request` and `set_memory_request` on the task with what it usually needs.",
    ),
    Rule(
        "KE004",
        "Packages installed at start-up",
        "warning",
        "The pod needs a package index each time it starts: it is slower, fails when the index fails, does not start "
        "in a cluster without internet access, and gets other versions tomorrow. KFP installs packages in every "
        "component with `packages_to_install`, and in every one without `install_kfp_package=False`.",
        "Install the packages (kfp included) in the image, name it as `base_image`, and set "
        "`install_kfp_package=False`.",
    ),
    Rule(
        "KE005",
        "Side effect with caching on",
        "error",
        "With caching on, a task with the same inputs does not run again: KFP reuses the old outputs. The image is not "
        "pushed, the change is not committed, the clean-up is not done, and the run still succeeds. The task declares "
        "its side effect: it is a stage of kfp-edge that has one, or its pod has the annotation "
        "`kfp-edge.io/side-effect`.",
        "Call `set_caching_options(False)` on the task. Declare a side effect of your own with "
        '`kubernetes.add_pod_annotation(task, "kfp-edge.io/side-effect", "sends the report")`.',
    ),
    Rule(
        "KE006",
        "Secret value in the YAML",
        "error",
        "Compiled YAML is committed, uploaded and shown in the dashboard to everyone who can see the pipeline; KFP "
        "also stores the parameters of each run. A value counts as a secret by its format: keys and tokens of clouds, "
        "forges, registries and services; private keys; logins of registries (`auths`), also in base64; passwords in "
        "URLs and connection strings, signed URLs, authorization headers. Or by the name of its parameter, variable or "
        "option: `password`, `DB_PASS`, `token`, `access_key`, `JWT_SECRET`, `credentials` and the like. Values that "
        "only point to a secret do not count, nor do placeholders such as `changeme`, choices such as `none`, numbers, "
        "or, for tokens and keys, plain words such as `default` and names such as `quay-login`.",
        "Revoke the secret, store a new one in a Kubernetes Secret, and mount that with "
        "`kubernetes.use_secret_as_env` or `use_secret_as_volume`. A parameter may hold the name of the Secret: call "
        "it `..._secret`.",
    ),
    Rule(
        "KE007",
        "Image tag latest",
        "error",
        "The tag `latest`, and no tag at all, refer to whatever was pushed last. Two tasks of one run can run "
        "different code, and a rollback to last week's image is not possible.",
        "Name a version, or preferably a digest (KE001).",
    ),
    Rule(
        "KE008",
        "Retries without a pause",
        "warning",
        "What fails because of the network or a busy service fails again a moment later, and all retries are used up "
        "at once.",
        'Set a backoff: `set_retry(2, backoff_duration="30s", backoff_factor=2)`.',
    ),
    Rule(
        "KE009",
        "Name of a Secret fixed in the YAML",
        "warning",
        "The pipeline runs only in namespaces with a Secret of exactly this name, and a move from test to production "
        "requires compiling it again.",
        "Make the name a parameter of the pipeline and pass it to `kubernetes.use_secret_as_env`, "
        "`use_secret_as_volume` or `set_image_pull_secrets`.",
    ),
    Rule(
        "KE010",
        "User that OpenShift AI rejects",
        "error",
        "OpenShift assigns each namespace its own range of user ids. The security context constraint `restricted-v2` "
        "does not admit a pod that asks for an id outside of it, such as root. (Privileged containers and added "
        "capabilities are not even fields of a backend: those are KE101.)",
        "Leave `runAsUser` out, and build the image to run as any user: files that it writes to belong to group 0.",
    ),
    Rule(
        "KE012",
        "Condition that cannot be evaluated",
        "error",
        "A backend evaluates conditions as expressions in CEL, and fails the run when it reaches a task whose "
        "condition is none, or has no truth value. KFP does not escape quotes when it writes a text into a condition: "
        "the expression then ends too early.",
        "Compare with a text that contains no quote. In YAML that is written by hand: `&&`, `||` and `!`, no words.",
    ),
    Rule(
        "KE013",
        "Looks like a side effect, with caching on",
        "warning",
        "What the task runs usually changes something outside of the pipeline: it pushes, applies, uploads or posts. "
        "With caching on that happens once and not again (KE005). The rule looks at the commands and at the calls in "
        "the code, so it can be wrong, and it does not see what happens inside an image.",
        "Call `set_caching_options(False)` on the task, or suppress the rule here when a repetition would change "
        "nothing.",
    ),
    Rule(
        "KE014",
        "Image built inside the pod",
        "warning",
        "Since KFP 2.16 every user container runs without privilege escalation and with all capabilities dropped, and "
        "a pipeline cannot ask for more. Building or running containers in it fails.",
        "Start a Tekton TaskRun that builds the image, or append a layer without privileges: the stage `containerize` "
        "of kfp-edge does both.",
    ),
    Rule(
        "KE015",
        "Reads an address, with caching on",
        "warning",
        "KFP's cache compares the inputs of a task, and an address is the same text tomorrow when other data is there. "
        "A nightly run would read the data once, and then reuse that result and the model made from it. An input "
        "counts as an address by its value (`s3://`, `gs://`, `https://`, a Git repository and the like), by its name "
        "(`..._uri`, `..._url`, `..._path`), or because a stage of kfp-edge reads it. Artifacts are no addresses: each "
        "that a task produces has an id of its own, so when one runs again, downstream tasks also rerun.",
        "Call `set_caching_options(False)` on the task. Or pass it a digest of the content that a cheap task without "
        "caching computes, and suppress the rule here; also when what is at the address never changes. An importer "
        "needs `reimport=True`.",
    ),
    Rule(
        "KE016",
        "Setting without effect",
        "warning",
        "Some backends have the field, but no code that reads it: the `resourceTtl` of KFP up to 2.16, and "
        "`semaphoreKey` and `mutexName` of OpenShift AI up to 3.3. Runs are neither deleted nor made to wait. No "
        "driver reads `podAffinity` and `enabledSharedMemory`, or a time limit below zero; an accelerator needs both "
        "its type and its number.",
        "Remove it. For shared memory, mount an empty folder at `/dev/shm`: "
        '`kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory")`. A time to live that has an effect is '
        "`resourceTtlOnCompletion`, from OpenShift AI 3.4 and KFP 2.17 on: `kfp-edge compile --time-to-live`. To run "
        "one at a time, set the concurrency of a schedule.",
    ),
    Rule(
        "KE017",
        "Retries that never happen",
        "warning",
        "Argo executes the retries, and ends the task at its first failure when it cannot plan one: it takes whole "
        "numbers only as the factor of the backoff, and starts no retry later than `backoffMaxDuration` after the "
        "first attempt started, the pause included.",
        'Write `set_retry(2, backoff_duration="30s", backoff_factor=2, backoff_max_duration="7200s")`; the longest '
        "duration also has to be longer than the task takes until it fails.",
    ),
    Rule(
        "KE018",
        "Optional artifact that fails in a pod",
        "error",
        "An artifact that a task may get is annotated as `Optional[Input[Dataset]]`, or as a union with None. Such a "
        "task works on this machine, and fails on every backend when it gets the artifact: no driver names the type of "
        "an artifact, so KFP's executor takes the annotation for its class and cannot make an object of it (TypeError: "
        "Cannot instantiate typing.Union).",
        "Write `data: Input[Dataset] = None`: KFP compiles it to the same optional input, and the function gets None "
        "where no artifact is passed.",
    ),
    Rule(
        "KE020",
        "Workflow near the limit",
        "warning",
        "A backend executes a pipeline as an object of Kubernetes, the Workflow. It holds each component, and up to "
        "six times for every task the source that the task runs, also for each iteration of a loop. Argo Workflows "
        "ends a run whose Workflow has more than 1 MiB, although it compresses what the run adds. A retry stores it "
        "uncompressed, and Kubernetes takes 1.5 MiB: above that, a failed run has to be started anew. The size is "
        "estimated with the defaults of the parameters, and may be higher by a fifth.",
        "Move code into the image and pass data as files. Loop over fewer items, each of which does more, or split the "
        "pipeline. Components with equal containers count once.",
    ),
    Rule(
        "KE021",
        "Text that Argo Workflows replaces",
        "warning",
        "Wherever it stands in a pipeline, also in the source of a component, Argo Workflows replaces text such as "
        "`{{workflow.name}}`, `{{node.name}}` and expressions such as `{{=1+1}}`.",
        'Write it without two braces in a row, such as `"{" + "{workflow.name}}"` in Python. For the ID of the '
        "run, use `dsl.PIPELINE_JOB_ID_PLACEHOLDER`. If you want it replaced, suppress the rule.",
    ),
    Rule(
        "KE022",
        "Character that the database cannot store",
        "warning",
        "The servers of OpenShift AI and KFP open their database with MySQL's `utf8`, which has no characters beyond "
        "U+FFFF, such as emoji. The upload passes, and then no run can be started (error 1366), also where the "
        "character is in the source of a component. A server with another database or character set takes it.",
        "Leave the character out, or write it as an escape such as `\\N{ROCKET}` in Python.",
    ),
    Rule(
        "KE099",
        "Comment that suppresses nothing",
        "warning",
        "A `# kfp-edge:` comment that cannot be parsed, gives no reason, names no rule that can be ignored, or matches "
        "no finding misleads its readers.",
        "Write `# kfp-edge: ignore KE002 because REASON`, or remove the comment.",
    ),
    Rule(
        "KE100",
        "Not a KFP v2 pipeline",
        "error",
        "The file cannot be read, is not valid YAML, or contains something other than one KFP v2 pipeline.",
        "Compile the pipeline with the KFP SDK 2: `kfp-edge compile` for those of kfp-edge, `kfp dsl compile` for your "
        "own.",
    ),
    Rule(
        "KE101",
        "Field that the backend does not know, or a value of the wrong type",
        "error",
        "Each version of OpenShift AI and of KFP has its own fields (docs/backends.md). A backend refuses others, or "
        "ignores them in silence: one unknown field in a platform spec makes it drop the whole platform spec, and runs "
        "go without its Secrets, volumes and node selectors.",
        "Name your backend with `--backend`. Compile with `kfp-edge compile --backend`, or with the version of kfp "
        "that fits the backend; do not edit compiled YAML by hand.",
    ),
    Rule(
        "KE102",
        "Reference that does not resolve",
        "error",
        "A task refers to a component, an executor, a task, an input or an output that does not exist, or waits for "
        "itself. The backend refuses to start a run; or, for a missing input, the run fails when it reaches the task.",
        "Compile the pipeline again; do not edit compiled YAML by hand. If the input is a parameter that sets the "
        "limit or request of a task inside an ExitHandler, a condition or a loop: kfp 2.16 does not pass it on; call "
        "`task.register_pipeline_channels([parameter])` as well.",
    ),
    Rule(
        "KE103",
        "Requirement of the backend not met",
        "error",
        "A backend checks the schema version, the pipeline's name, its root and what each executor runs before it "
        "accepts a pipeline. None executes a loop over artifacts.",
        "Compile the pipeline again; do not edit compiled YAML by hand. A pipeline's name is the one in "
        "`@dsl.pipeline(name=...)`.",
    ),
    Rule(
        "KE104",
        "Task that cannot start as it is written",
        "error",
        "The server takes the pipeline, and the run fails, or waits forever, when it reaches the task: Kubernetes "
        "refuses the pod, or KFP's driver cannot make it. The finding says what of it: a quantity, a name, a label, a "
        "toleration, a path, a volume. KFP names a volume after its Secret, ConfigMap or claim, so these need names "
        "that a volume can have; and what has the same name or path as something else becomes one with it. Quantities "
        "of CPU, memory and accelerators are followed to the default of the parameter that sets them; `submit` checks "
        "its value. Other values that only a run knows are not checked.",
        "Write what the finding says. Kubernetes gives the same verdict for a pod with the value: "
        "`kubectl apply --dry-run=server`.",
    ),
    Rule(
        "KE105",
        "Value of another type than its parameter",
        "error",
        "The server takes the pipeline, and the driver compares types when a run reaches the task: a parameter that is "
        "a text takes any value, and each other type only its own. The items of a loop are a list in JSON. KFP's "
        "compiler checks constants, but no defaults, and takes the items of a list without a type for texts.",
        "Write a value of the type that the finding names, or declare the parameter with the type of the value.",
    ),
    Rule(
        "KE106",
        "Text that Argo Workflows cannot resolve",
        "error",
        "Argo Workflows takes `{{...}}` for a variable of its own wherever it stands in a pipeline, also in the source "
        "of a component, when it begins with `item.`, `steps.`, `inputs.`, `pod.`, `workflow.` or `tasks.`. If there "
        "is no such variable, the server refuses to start a run. Templates of Jinja are the usual case: "
        "`{{ item.name }}`.",
        "Rename the variable, or put the template into a file of the image. In Python, build the text from two parts "
        "so that two braces never follow each other.",
    ),
    Rule(
        "KE107",
        "Argument longer than a pod takes",
        "error",
        "A backend hands each component, each task and the container of each executor, with the source of its "
        "function, to its driver as one argument in JSON, and the inputs of a task to its pod. Linux takes 128 KiB in "
        "one argument. In JSON, `<`, `>` and `&` take six bytes each.",
        "Move code into the image, and long values into files that a component reads.",
    ),
    Rule(
        "KE108",
        "Workflow larger than the backend takes",
        "error",
        "Argo Workflows ends a run whose Workflow has more than 1 MiB (KE020 says what is in it), and Kubernetes does "
        "not store more than 1.5 MiB. Only what is certain counts: no task behind a condition, and no loop over what "
        "an earlier task or a parameter decides.",
        "Move code into the image and pass data as files. Loop over fewer items, each of which does more, or split the "
        "pipeline.",
    ),
)

#: Every rule by its code, in order.
RULES = {rule.code: rule for rule in _ALL}
