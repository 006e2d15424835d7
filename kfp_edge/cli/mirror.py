"""`kfp-edge mirror` and its subcommands: releases for sites without a network, carried as files."""

from pathlib import Path
from typing import Annotated

import typer

from kfp_edge.cli.fleet.options import HERE, ImageRegistryOption, RepositoryFolder, RepositoryUrl

mirror = typer.Typer(no_args_is_help=True, help="Carry releases to sites without a network, as files.")

_Site = Annotated[str, typer.Argument(metavar="SITE", help="The name of the site.")]
_SiteGit = Annotated[
    str, typer.Option("--git", metavar="URL", help="The git repository at the site: https:// or a folder.")
]
_SiteRegistry = Annotated[
    str,
    typer.Option(
        "--registry", metavar="HOST[:PORT]", help="The registry at the site, by default the one of its site.yaml."
    ),
]
_Branch = Annotated[str, typer.Option("--branch", help="The branch that the site follows.")]


@mirror.command("export")
def export(
    site: _Site,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The archive.")],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The Ed25519 key that signs it, in PEM.")],
    inventory: Annotated[
        Path | None,
        typer.Option("--inventory", metavar="FILE", help="What the site has; without it, everything is exported."),
    ] = None,
    repository: RepositoryFolder = HERE,
    url: RepositoryUrl = "",
    registry: ImageRegistryOption = "",
) -> None:
    """Write what a site lacks into one signed file: images, those of a rollback, and commits."""
    from kfp_edge.fleet.remote import FleetRemote
    from kfp_edge.mirror.contracts import read_inventory
    from kfp_edge.mirror.export import export_archive
    from kfp_edge.mirror.signatures import read_private_key

    signing_key = read_private_key(key)
    known = read_inventory(inventory, site) if inventory else None
    fleet = FleetRemote.of_checkout(repository, url)
    exported = export_archive(fleet, site, output, signing_key, _report, inventory=known, registry=registry)
    for image in exported.contents.images:
        typer.echo(f"{image.model}  {image.path}@{image.digest}")
    typer.echo(
        f"wrote {output}: {exported.size / 1e6:.1f} MB for {site}, commit {exported.contents.commit}; "
        f"{exported.left_out / 1e6:.1f} MB are at the site already"
    )


@mirror.command("import")
def import_(
    site: _Site,
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="The file that `mirror export` wrote.")],
    git: _SiteGit,
    public_key: Annotated[
        list[Path],
        typer.Option("--public-key", metavar="FILE", help="A key whose signature is accepted; may be repeated."),
    ],
    registry: _SiteRegistry = "",
) -> None:
    """Verify an archive, and load it into the registry and the git repository of this site."""
    from kfp_edge.git.remote import GitRemote
    from kfp_edge.mirror.load import CommitState, load_archive
    from kfp_edge.mirror.signatures import read_public_key

    keys = [read_public_key(file) for file in public_key]
    loaded = load_archive(archive, site, keys, GitRemote.parse(git), _report, registry=registry)
    contents = loaded.contents
    if loaded.commit is CommitState.OUTDATED:
        typer.echo(f"nothing to do: the site has a newer commit than {contents.commit} of this archive")
        return
    for image in contents.images:
        typer.echo(f"{image.model}  {image.path}@{image.digest}")
    verb = "is now at" if loaded.commit is CommitState.PUSHED else "was already at"
    typer.echo(f"loaded {loaded.uploaded / 1e6:.1f} MB; {contents.branch} {verb} {contents.commit}")


@mirror.command("inventory")
def inventory(
    site: _Site,
    git: _SiteGit,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The inventory.")],
    branch: _Branch = "main",
    registry: _SiteRegistry = "",
) -> None:
    """Write what this site has into a small file, which goes back to where archives are exported."""
    from kfp_edge.git.remote import GitRemote
    from kfp_edge.mirror.contracts import to_json
    from kfp_edge.mirror.inventory import take_inventory
    from kfp_edge.storage.files import write_file
    from kfp_edge.wording import count_of

    taken = take_inventory(GitRemote.parse(git), branch, site, registry=registry)
    write_file(output, to_json(taken))
    blobs = sum(len(digests) for digests in taken.blobs.values())
    typer.echo(f"wrote {output}: {count_of(blobs, 'blob')}, commit {taken.commit or 'none'}")


@mirror.command("prune")
def prune(
    site: _Site,
    git: _SiteGit,
    branch: _Branch = "main",
    registry: _SiteRegistry = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove images from this site's registry that no ring runs, or ran before its present one."""
    from kfp_edge.git.remote import GitRemote
    from kfp_edge.mirror.prune import prune_registry

    verb = "would remove" if dry_run else "removed"
    pruned = prune_registry(GitRemote.parse(git), branch, site, _report, registry=registry, is_rehearsal=dry_run)
    for each in pruned:
        for digest in each.removed:
            typer.echo(f"{verb} {each.repository}@{digest}")
        typer.echo(f"{each.repository} keeps {len(each.kept)}, {verb} {len(each.removed)}")
    if not pruned:
        typer.echo("nothing to remove: the registry has no image of an import")


@mirror.command("mirror-set")
def mirror_set(
    site: _Site, repository: RepositoryFolder = HERE, url: RepositoryUrl = "", registry: _SiteRegistry = ""
) -> None:
    """Print the ImageDigestMirrorSet by which an OpenShift cluster pulls from the registry of its site."""
    from kfp_edge.fleet.remote import FleetRemote
    from kfp_edge.mirror.images import read_state
    from kfp_edge.mirror.mirror_set import render_mirror_set

    fleet = FleetRemote.of_checkout(repository, url)
    with fleet.open() as clone:
        state = read_state(clone, fleet.branch, site)
    typer.echo(render_mirror_set(state, registry), nl=False)


def _report(line: str) -> None:
    typer.echo(line, err=True)
