"""Vastai's compiler for its VACC cards, which compute in fp16."""

from elic_export.targets.target import Target

README = """\
In `targets/vamc`, run `vamc compile {{ (plan.graphs | first).name if plan.graphs else "GRAPH" }}.yaml`{{ ", and so on for the other files" if plan.graphs | length > 1 }}. It writes the models to `deploy_weights/`.
"""


class Vamc(Target):
    """Vastai's compiler for its VACC cards, which compute in fp16."""

    tool = "vamc"
    title = "Vastai: vamc"
    readme = README
    template = "vamc.yaml.j2"
    output = "{name}.yaml"
    per = "graph"
