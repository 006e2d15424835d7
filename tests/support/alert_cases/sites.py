"""Sites, and what they run."""

from support.alert_cases.series import AT_SITE, FIRES, FLEET, NEW, OLD, SERVER, SILENT, SLOWLY, UP, Case, info

CASES = (
    Case(
        "KfpEdgeSiteUnseen", "its link is cut for two hours", FIRES, FLEET | {f"up{{{SERVER}}}": "1x10 _x300"}, "130m"
    ),
    Case(
        "KfpEdgeSiteUnseen",
        "its link is cut for half an hour, which its ring allows",
        SILENT,
        FLEET | {f"up{{{SERVER}}}": "1x10 _x300"},
        "40m",
    ),
    Case(
        "KfpEdgeSiteUnseen",
        "its server is down, and its collector reports it",
        SILENT,
        FLEET | {f"up{{{SERVER}}}": "0x300"},
    ),
    Case(
        "KfpEdgeSiteUnseen",
        "it was offline, and is back",
        SILENT,
        FLEET | {f"up{{{SERVER}}}": "1x10 _x90 1x100"},
        "110m",
    ),
    Case(
        "KfpEdgeQueueFilling",
        "its link is cut for three quarters of what its queue holds",
        FIRES,
        FLEET
        | {f"up{{{SERVER}}}": "1x2 _x5000"}
        | {f"kfp_edge_fleet_site_offline_after_seconds{{{AT_SITE}}}": "3600x5000"},
        "55h",
        times=SLOWLY,
    ),
    Case(
        "KfpEdgeQueueFilling",
        "its link is cut for two days",
        SILENT,
        FLEET | {f"up{{{SERVER}}}": "1x2 _x5000"},
        "48h",
        times=SLOWLY,
    ),
    Case("KfpEdgeSiteNeverSeen", "it is in the repository for a day", FIRES, FLEET, "25h", times=SLOWLY),
    Case("KfpEdgeSiteNeverSeen", "it is in the repository since this morning", SILENT, FLEET, "8h", times=SLOWLY),
    Case(
        "KfpEdgeSiteNeverSeen",
        "it was seen, and is offline",
        SILENT,
        FLEET | {f"up{{{SERVER}}}": "1x10 _x3000"},
        "30h",
        times=SLOWLY,
    ),
    Case(
        "KfpEdgeSiteUnknown",
        "the repository does not have it",
        FIRES,
        UP | {"kfp_edge_fleet_read_timestamp_seconds": "0+60x3000"},
    ),
    Case(
        "KfpEdgeSiteUnknown",
        "it was removed, and switched off",
        SILENT,
        {f"up{{{SERVER}}}": "1x60 _x500", "kfp_edge_fleet_read_timestamp_seconds": "0+60x3000"},
        "4h",
    ),
    Case("KfpEdgeSiteUnknown", "the repository has it", SILENT, UP | FLEET),
    Case("KfpEdgeSiteUnknown", "nobody knows what the repository has", SILENT, UP),
    Case("KfpEdgeWrongDigest", "it runs the image of before", FIRES, UP | FLEET | info(OLD)),
    Case("KfpEdgeWrongDigest", "it runs what its ring should", SILENT, UP | FLEET | info(NEW)),
    Case(
        "KfpEdgeWrongDigest",
        "a pod with the image of before stays beside the new one",
        FIRES,
        UP | FLEET | info(NEW) | info(OLD),
    ),
    Case(
        "KfpEdgeWrongDigest",
        "it takes half an hour to update",
        SILENT,
        UP | FLEET | info(OLD, "1x30 _x100") | info(NEW, "_x30 1x100"),
    ),
    Case(
        "KfpEdgeWrongDigest",
        "its window is closed",
        SILENT,
        UP | FLEET | info(OLD) | {f"kfp_edge_fleet_site_may_change{{{AT_SITE}}}": "0x3000"},
    ),
    Case("KfpEdgeWrongDigest", "it is offline with the image of before", SILENT, FLEET | info(OLD, "1x10 _x300")),
    Case("KfpEdgeModelMissing", "no server has the model", FIRES, UP | FLEET),
    Case("KfpEdgeModelMissing", "a server has it", SILENT, UP | FLEET | info(OLD)),
    Case("KfpEdgeModelMissing", "it is offline", SILENT, FLEET | {f"up{{{SERVER}}}": "1x10 _x300"}),
    Case("KfpEdgeFleetMetricsStale", "nothing reads the repository", ("",), {}),
    Case(
        "KfpEdgeFleetMetricsStale",
        "the repository cannot be read for two hours",
        ("",),
        {"kfp_edge_fleet_read_timestamp_seconds": "0x300"},
    ),
    Case("KfpEdgeFleetMetricsStale", "the repository is read", SILENT, FLEET),
    Case(
        "KfpEdgeFleetFilesBroken",
        "the file of a site is no YAML",
        ("",),
        FLEET | {"kfp_edge_fleet_broken_files": "1x3000"},
    ),
    Case(
        "KfpEdgeFleetFilesBroken",
        "all files are right",
        SILENT,
        FLEET | {"kfp_edge_fleet_broken_files": "0x3000"},
    ),
)
