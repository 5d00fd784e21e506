//! The closed lists of words behind the rules of `vocabulary`. Must hold data alone.

use std::{collections::HashSet, sync::LazyLock};

/// Words, looked up as they are.
pub(crate) type List = LazyLock<HashSet<&'static str>>;

fn split(words: &'static str) -> HashSet<&'static str> {
    words.split_whitespace().collect()
}

/// Stand for kinds of things that have names.
pub(crate) static ENTITY_NOUNS: List = List::new(|| {
    split(
        "
    app application binary cgroup cgroups cluster command container cronjob daemon daemonset
    database deployment executable host hosts image instance job machine microservice namespace node
    pod process processes program queue replicaset script server service slice statefulset task team
    tenant tool user vm volume workload
",
    )
});

/// Words that carry grammar, not meaning.
pub(crate) static FUNCTION_WORDS: List = List::new(|| {
    split(
        "
    a about above across after again against all along already also although always am among an and
    another any are around as at away be because been before behind being below beneath beside
    besides between beyond both but by can cannot could despite did do does doing done down due
    during each either else enough even ever every except few fewer for from further had has have
    having he hence her here his how however if in indeed inside instead into is it its itself just
    least less like many may might more most much must near neither never no nor not now of off
    often on once one only onto or other others otherwise our out outside over own per perhaps
    rather same shall should since so some soon still such than that the their them themselves then
    there therefore these they this those though through throughout thus till to together too toward
    towards under unless unlike until up upon very via was we well were what when where whereas
    whether which while who whole whose why will with within without would yet you your
",
    )
});

/// Verbs of explanations; their forms count too.
pub(crate) static VERBS: List = List::new(|| {
    split(
        "
    abort accept accommodate account act add affect aim allocate allow appear apply ask assign
    attach attempt avoid await back became become began begin begun belong block bound breach break
    bring broke broken brought build built call came cap catch caught cause change charge check
    choose chose chosen clean climb close come complete configure confirm consider constrain consume
    contain continue contribute control cover crash create cross deal define demand deny depend
    deploy describe detect determine die dies disappear discard draw drive driven drop drove dying
    encounter end enforce enter evict exceed execute exhaust exist exit expand expect experience
    explain face fail fall fallen fault fell fill find finish fit follow force fork found free gave
    generate get give given go goes going gone got grew grow grown handle hang happen held hit hold
    hung identify impact impose include increase indicate inherit install interrupt invoke involve
    isolate keep kept kill lack launch lay lead leak leave led left let lie limit list live load
    locate log look lose lost made maintain make manage map match mean meet met move need notice
    observe occupy occur offend open originate outgrew outgrow overrun own pass perform permit pick
    place point prevent print produce prompt protect prove pull push put raise ran reach read
    receive reclaim record recover reduce refuse release remain remove replace report request
    require reserve reset respond restart restrict result return rise risen rose run sat saw
    schedule see seem seen select send sent serve set share show shown shrink shut signal sit spawn
    specify spike stand start state stay stood stop suffer suggest support surge survive take taken
    target tell tend terminate threw throw thrown tie told took touch trigger try turn unable use
    vanish violate wait want watch went work write written wrote
",
    )
});

/// May stand before an entity noun without naming the entity.
pub(crate) static MODIFIERS: List = List::new(|| {
    split(
        "
    affected alien alive ancestor bad big bigger biggest busy child containing controlling current
    dead different direct doomed downstream earlier enclosing entire external faulty final first
    foreign former greedy healthier healthy heaviest heavy higher hungriest hungry idle immediate
    individual init innermost innocent interactive intermediate internal its kernel kubernetes large
    larger largest last later leaf linux live local lower main major memory middle misbehaving
    multiple nearby nearest neighbor neighboring neighbour neighbouring new next noisy normal
    numerous old oldest oom ordinary original outer outermost parent particular peer present
    previous primary privileged remote replacement root running same second secondary sender
    separate several sibling similar single small smaller smallest sole source specific stray
    subsequent surviving system third top unhealthy unknown unlimited unnamed unprivileged unrelated
    upper upstream user various victim whole
",
    )
});

/// May follow an entity noun without naming the entity.
pub(crate) static FOLLOWERS: List = List::new(|| {
    split(
        "
    able account activity address alive alone ancestor ancestors anonymous behavior behaviour big
    boundaries boundary budget cap capacity ceiling chain child children code configuration
    consumption count crash data death definition description details directly entry entrypoint
    events exit failure failures first footprint free growth heap hierarchy id identifier ids init
    kernel kill kills large larger last later layer level levels lifecycle lifetime limit limits
    list log logs loop manager memory metrics mode name names next number numbers oom operator owner
    parent parents path paths peak pid policy pressure problem quota request requests resources
    responsible restart restarts root rss runtime second security settings sibling siblings side
    size space spec specification stack start startup state status subtree swap table template
    termination threads total tree type unable usage user users victim wide
",
    )
});

/// What explanations of dying processes say beyond common English.
pub(crate) static DOMAIN_WORDS: List = List::new(|| {
    split(
        "
    abrupt abruptly aggregate aggregated alloc allocator allocators analyse analysed analysing
    ancestor ancestors anon anonymous api app apps autoscale autoscaled backlog backtrace backtraces
    bookkeeping bottleneck breached breaching btw buggy bytes capped ceiling cgroup cgroups codebase
    config configs container containerized containers contention coredump correlate correlated
    correlates cpu cpus culprit cumulative cumulatively daemonset dangle dangling deadlock
    deallocate debug debugger debuggers debugging dereference dereferenced dereferences
    dereferencing diagnose diagnosing diagnosis diagnostics downstream endpoint endpoints entrypoint
    etc evict evicted evicting eviction evictions exhaustion failcnt fault faulted footprint fork
    forked freed gib graceful gracefully headroom healthy heap heaps hierarchy hostname hugepage
    hugepages hung inconclusive inherently init innermost innocent inode inodes instrumentation
    invariant io kernel kernels kib kubectl kubernetes leak leaked leaking leaks lifecycle lifetime
    likelihood linux malloc mapped mapping mappings memcg metadata mib microservice microservices
    misbehave misbehaving misconfiguration misconfigured mitigate mitigated mitigation mmap
    namespace namespaced namespaces neighbor neighboring neighbors neighbour neighbouring neighbours
    nonzero null offending ok oom ooms outermost outgrew outgrow outgrown overcommit overcommitted
    overshoot overshot oversized overuse pid pids pinpoint pinpointed plausible plausibly pod pods
    postmortem preempt preempted preemption prematurely proactively probe probes prolonged quota
    quotas ram reclaim reclaimable reclaimed reclaiming reclaims replica replicas reproduce
    reproducible resident respawn respawned restart restarted restarting restarts rollback rollout
    rss ruled runaway runtime runtimes sandbox scrutiny segfault segfaulted segfaults segmentation
    sender senders shmem sibling siblings sized slab spawn spawned spike spiked spikes stacktrace
    stale startup starvation starve starved statefulset subtree surge surged swap swappable swapped
    swapping syscall syscalls sysctl tgid threshold thresholds throttle throttled throttling
    timeline timestamp timestamps tmpfs topmost uid unbounded unconstrained uncontained undersized
    unevictable unhealthy unintended unintentional uninterrupted unmap unmapped unrelated upstream
    userland userspace utilization verified verify versus via victim victims workaround workload
    workloads worsen
",
    )
});

/// Written with capitals wherever they stand. Signals are not here: a sentence may name only those
/// that its facts name.
pub(crate) static TERMS: List = List::new(|| {
    split(
        "
    API BSS Cgroup Container CPU CPUs DaemonSet Deployment EOF GiB I I/O ID IDs IO KiB Kubernetes
    Linux MiB Namespace Node OK OOM OS PID PIDs Pod Pods POSIX Process RAM ReplicaSet RSS
    StatefulSet TiB Unix UTC VM
",
    )
});

/// Without the last full stop, which is punctuation.
pub(crate) static ABBREVIATIONS: List = List::new(|| {
    split(
        "
    a.k.a e.g i.e
",
    )
});

/// States how much or when without a number.
pub(crate) static RATIOS: List = List::new(|| {
    split(
        "
    afternoon billions century daily day days decade decades double doubled doubles doubling dozens
    evening fifths fourfold gibibyte gibibytes gigabyte gigabytes half halve halved halves hour
    hourly hours hundredfold hundreds kibibyte kibibytes kilobyte kilobytes mebibyte mebibytes
    megabyte megabytes midnight millions minute minutes month monthly months morning noon quadruple
    quadrupled quarter quarters tebibyte tebibytes tenfold tenths terabyte terabytes thirds
    thousands threefold today tomorrow tonight triple tripled triples twofold week weekly weeks year
    yearly years yesterday
",
    )
});

/// Software that a model may name without having seen it. The list matters only where the name is
/// also an English word; every other name is unknown anyway.
pub(crate) static SOFTWARE: List = List::new(|| {
    split(
        "
    airflow ansible apache argo atlas bash beam bitcoin bun calico cassandra celery chef chrome
    chromium cilium cockroach consul containerd cortex couch crane curl dart dash django docker
    dockerd drone druid elasticsearch electron envoy etcd express falcon firefox fish flannel flask
    flink fluent flux git github gitlab golang grafana groovy gunicorn hadoop harbor helm hive httpd
    ingress istio jaeger java javascript jenkins kafka keycloak kibana kong kubelet kustomize
    linkerd llama loki longhorn looker mariadb memcached mercury minio mongo mongodb mysql mysqld
    nats nginx nodejs nomad npm oracle packer pandas perl phoenix php podman postgres postgresql
    prefect presto prometheus pulsar puma puppet python quay rabbit rabbitmq rails rancher redis
    rook ruby rust salt scala selenium sentry slack snowflake solr spark spring sqlite squid storm
    swift systemd tempo thanos tomcat torch traefik trino unicorn vagrant valkey varnish vault
    velero weave whisper zookeeper zoom
",
    )
});

/// Begin a compound.
pub(crate) static COMPOUND_HEADS: List = List::new(|| {
    split(
        "
    above all already anti back best built co cross ever fast first full fully high higher ill in
    inter last late less long longer low lower mid more most much multi near newly no non off on one
    only out over per post pre quick re read right same self semi short single slow so sub super
    then top un under up very well whole zero
",
    )
});

/// End a compound.
pub(crate) static COMPOUND_TAILS: List = List::new(|| {
    split(
        "
    able aware backed based bound bounded by caused consuming controlled defined dependent down
    driven enforced fault first free friendly heavy hungry imposed in induced initiated intensive
    invoked kill killed killer killing kills less level like limit limited local long made mapped
    off on only oriented out out-of-memory owned produced prone range ready related reported running
    safe sensitive side sized space specific style time to triggered up usage used wide worthy
",
    )
});

/// Inside a compound, these make it one: `step-by-step`.
pub(crate) static JOINERS: List = List::new(|| {
    split(
        "
    a and by for in of on or the to
",
    )
});

/// Compounds that follow no rule.
pub(crate) static COMPOUNDS: List = List::new(|| {
    split(
        "
    child-process core-dump double-free garbage-collected garbage-collection garbage-collector
    hard-coded heap-size memory-leak memory-limit memory-management memory-pressure null-pointer
    page-cache page-fault process-group root-cause segmentation-fault stack-overflow use-after-free
",
    )
});

/// Finite verbs that follow their subject at once.
pub(crate) static AUXILIARIES: List = List::new(|| {
    split(
        "
    are became began broke came can could did do does fell got grew had has have held hit is kept
    led left made may met might must put ran rose sent set should shut took was went were will would
",
    )
});

/// Conjunctions after which a subject comes.
pub(crate) static CLAUSE_STARTS: List = List::new(|| {
    split(
        "
    after although and as because before but if once or since so that then though unless until when
    where whereas whether which while
",
    )
});

/// Subjects that English uses without an article.
pub(crate) static BARE_SUBJECTS: List = List::new(|| {
    split(
        "
    access activity allocation allocations anonymous anybody anyone anything applications
    consumption containers control demand developers everybody everyone everything evidence
    execution exhaustion facts growth kubernetes limits linux memory neighbors neighbours nobody
    nothing nowhere operators others pages people pods pressure processes processing reclaim
    reclamation requests restart restarts room siblings somebody someone something space swap
    termination threads usage users utilization work
",
    )
});

/// Stand before a name, like entity nouns, but also before and after any other word.
pub(crate) static LABEL_NOUNS: List = List::new(|| {
    split(
        "
    account branch class controller customer developer device directory disk engineer file folder
    function interface library method module operator package repository table thread variable
    region zone
",
    )
});

/// Follow such a noun without being a name, beyond what follows entity nouns.
pub(crate) static LABEL_FOLLOWERS: List = List::new(|| {
    split(
        "
    access backed cache caches call calls content contents descriptor descriptors error errors
    handle handles manager mapping mappings page pages permissions pool pools safety size stack
    system systems version versions
",
    )
});

/// Objects of `by` without an article.
pub(crate) static BY_OBJECTS: List = List::new(|| {
    split(
        "
    accident bug bugs chance convention default definition design error errors far fault faults
    force hand hardware intention itself mistake nature policy signal software time
",
    )
});
