"""`kfp-edge fleet diff`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from kfp_edge.cli.fleet.options import HERE, RepositoryFolder, RepositoryUrl
from kfp_edge.wording import count_of


def diff(
    branch: Annotated[
        str, typer.Option("--branch", help="A branch of the repository in place of the checkout's files.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many sites are rendered at most.")] = 50,
    repository: RepositoryFolder = HERE,
    url: RepositoryUrl = "",
) -> None:
    """Print what a change does to which sites, compared with the branch that they follow."""
    from kfp_edge.fleet.remote import FleetRemote
    from kfp_edge.fleet.rendering.diff import compare_trees
    from kfp_edge.gitops.changes import missing_branch_error
    from kfp_edge.gitops.tree import Checkout, Commit

    target = FleetRemote.of_checkout(repository, url)
    with target.open() as clone:
        commits = {name: clone.head(name) for name in (target.branch, branch) if name}
        for name, commit in commits.items():
            if commit is None:
                raise missing_branch_error(target.remote, name, clone.branches())
        before = Commit(clone, commits[target.branch] or "")
        after = Commit(clone, commits[branch] or "") if branch else Checkout(repository)
        result = compare_trees(before, after, limit)
    for each in result.sites:
        typer.echo(_name(each.sites))
        typer.echo(each.diff or "  no object changes\n", nl=False)
    if result.removed:
        typer.echo(f"{_name(result.removed)}, no longer in the fleet; what runs there goes on running.")
    if result.not_rendered:
        typer.echo(f"{count_of(len(result.not_rendered), 'more site')} not rendered; raise --limit to see them.")
    changing = sum(len(each.sites) for each in result.sites if each.diff)
    typer.echo(f"{count_of(len(result.changed), 'file')} changed, {count_of(changing, 'site')} of those rendered.")


def _name(sites: Sequence[str]) -> str:
    names = ", ".join(sites[:20]) + (" ..." if len(sites) > 20 else "")
    return f"{count_of(len(sites), 'site')}: {names}"
