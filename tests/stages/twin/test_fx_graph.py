"""Laws of cutting and running a twin's graph: parts make the whole, edits compose."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import fx, nn

from stages.twin import fx_graph
from tests.support import twins, zoo

IMAGES = zoo.images(3)
ARCHITECTURES = ("small_cnn", "resnet", "densenet", "vit")


@cache
def module(architecture: str) -> fx.GraphModule:
    """The twin's graph module of one of the nets of `zoo`; shared, so a test leaves it as it is."""
    with torch.enable_grad():  # without it torch takes a path that cannot be exported
        return twins.twin(architecture, "legacy").module


def computed(architecture: str) -> list[fx.Node]:
    """The nodes of that module that compute something, in order."""
    kinds = ("call_module", "call_function", "call_method")
    return [node for node in module(architecture).graph.nodes if node.op in kinds]


def outputs(architecture: str) -> torch.Tensor:
    """The twin's own outputs."""
    with torch.no_grad():
        found: torch.Tensor = module(architecture)(IMAGES)
    return found


def at(architecture: str, share: float) -> fx.Node:
    """The node at that share of the way through the graph."""
    nodes = computed(architecture)
    return nodes[int(share * (len(nodes) - 1))]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_running_without_edits_is_calling(architecture: str) -> None:
    """Without edits a run returns the module's own outputs, to the bit."""
    with torch.no_grad():
        found = fx_graph.run(module(architecture), IMAGES)

    torch.testing.assert_close(found, outputs(architecture), rtol=0, atol=0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_edits_that_change_nothing_change_nothing(architecture: str) -> None:
    """The identity at every node leaves the outputs as they are."""
    edits = {node.name: lambda value: value for node in computed(architecture)}

    with torch.no_grad():
        found = fx_graph.run(module(architecture), IMAGES, edits=edits)

    torch.testing.assert_close(found, outputs(architecture), rtol=0, atol=0)


def test_an_edit_of_the_output_is_the_edited_output() -> None:
    """What is done to the last node is done to the outputs."""
    last = fx_graph.output_of(module("resnet"))

    with torch.no_grad():
        found = fx_graph.run(
            module("resnet"), IMAGES, edits={last.name: lambda value: 2 * value + 1}
        )

    torch.testing.assert_close(found, 2 * outputs("resnet") + 1)


def test_edits_see_those_before_them() -> None:
    """Two edits compose: the later one is handed what the earlier one led to."""
    first, second = at("small_cnn", 0.3), at("small_cnn", 0.7)
    seen: list[torch.Tensor] = []

    def keep(value: torch.Tensor) -> torch.Tensor:
        seen.append(value)
        return value

    with torch.no_grad():
        for factor in (0.0, 1.0):
            edits = {first.name: lambda value, by=factor: by * value, second.name: keep}
            fx_graph.run(module("small_cnn"), IMAGES, edits=edits)

    assert not torch.allclose(*seen)
    expected = fx_graph.values(module("small_cnn"), IMAGES, [second])[0]
    torch.testing.assert_close(seen[1], expected, rtol=0, atol=0)


def test_edits_leave_the_module_untouched() -> None:
    """A run with edits changes neither the graph nor any weight."""
    before = {name: one.clone() for name, one in module("resnet").state_dict().items()}
    code = module("resnet").code

    fx_graph.run(module("resnet"), IMAGES, edits={at("resnet", 0.5).name: torch.zeros_like})

    assert module("resnet").code == code
    assert all(
        torch.equal(one, before[name]) for name, one in module("resnet").state_dict().items()
    )


def test_gradients_flow_through_edits() -> None:
    """An edit by a variable passes its gradient back to that variable."""
    scale = torch.ones((), requires_grad=True)
    node = at("densenet", 0.4)

    fx_graph.run(
        module("densenet"), IMAGES, edits={node.name: lambda value: scale * value}
    ).sum().backward()

    assert scale.grad is not None
    assert float(scale.grad.abs()) > 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_body_then_head_is_the_whole(architecture: str, share: float) -> None:
    """What a cut hands over is enough: the rest computed from it gives the whole's outputs."""
    whole, last = module(architecture), at(architecture, share)
    kept = fx_graph.cut_after(whole, last)

    head = fx_graph.part(whole, kept, fx_graph.output_of(whole))
    with torch.no_grad():
        handed = [fx_graph.part(whole, _inputs(whole), node)(IMAGES) for node in kept]
        found = head(*handed)

    torch.testing.assert_close(found, outputs(architecture), rtol=0, atol=0)


def _inputs(whole: fx.GraphModule) -> list[fx.Node]:
    return [node for node in whole.graph.nodes if node.op == "placeholder"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_cut_is_made_of_what_is_still_needed(architecture: str) -> None:
    """Every node handed over is computed by then and has a reader that is not."""
    nodes = [node for node in module(architecture).graph.nodes if node.op != "get_attr"]
    for last in computed(architecture)[::5]:
        done = set(nodes[: nodes.index(last) + 1])

        kept = fx_graph.cut_after(module(architecture), last)

        assert set(kept) <= done
        assert all(set(node.users) - done for node in kept)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parts_keep_names_and_share_weights(architecture: str) -> None:
    """Nodes of a part are called as in the whole, and its weights are the same tensors."""
    whole, last = module(architecture), at(architecture, 0.6)

    body = fx_graph.part(whole, _inputs(whole), last)

    names = {node.name for node in whole.graph.nodes}
    assert {node.name for node in body.graph.nodes if node.op != "output"} <= names
    own = dict(whole.named_parameters())
    assert all(one is own[name] for name, one in body.named_parameters())
    assert 0 < len(dict(body.named_parameters())) <= len(own)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_an_edit_for_the_whole_fits_the_part(share: float) -> None:
    """The same edit in a part and in the whole leads to the same value."""
    whole, place, last = module("resnet"), at("resnet", share), at("resnet", 0.7)
    edits: dict[str, fx_graph.Edit] = {place.name: lambda value: value + 1}
    seen: list[torch.Tensor] = []

    def keep(value: torch.Tensor) -> torch.Tensor:
        seen.append(value)
        return value

    body = fx_graph.part(whole, _inputs(whole), last)
    with torch.no_grad():
        fx_graph.run(whole, IMAGES, edits={**edits, last.name: keep})
        found = fx_graph.run(body, IMAGES, edits=edits)

    torch.testing.assert_close(found, seen[0], rtol=0, atol=0)


def test_a_part_of_one_node_hands_its_input_on() -> None:
    """The part from a node to itself is the identity."""
    node = at("small_cnn", 0.5)

    same = fx_graph.part(module("small_cnn"), [node], node)

    value = torch.randn(2, 3)
    assert torch.equal(same(value), value)


def test_parts_of_parts_are_parts() -> None:
    """Cutting a body again gives what cutting the whole at once gives."""
    whole, early, late = module("vit"), at("vit", 0.3), at("vit", 0.7)
    body = fx_graph.part(whole, _inputs(whole), late)

    again = fx_graph.part(body, _inputs(body), fx_graph.node_named(body, early.name))

    with torch.no_grad():
        found, expected = again(IMAGES), fx_graph.part(whole, _inputs(whole), early)(IMAGES)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_values_are_those_of_the_run(architecture: str) -> None:
    """Values come in the order asked for, without gradient, and fit the stated shapes."""
    whole = module(architecture)
    shapes = fx_graph.shapes(whole, IMAGES)
    nodes = [node for node in computed(architecture) if node in shapes][::-4]

    found = fx_graph.values(whole, IMAGES, nodes)

    assert [tuple(one.shape) for one in found] == [shapes[node] for node in nodes]
    assert not any(one.requires_grad for one in found)
    last = fx_graph.values(whole, IMAGES, [fx_graph.output_of(whole)])[0]
    torch.testing.assert_close(last, outputs(architecture), rtol=0, atol=0)


def test_shapes_leave_out_what_is_no_float() -> None:
    """Shapes of integers and tuples are absent, those of floats present with the batch in front."""
    parts = fx.symbolic_trace(_Parts())

    found = {node.name: shape for node, shape in fx_graph.shapes(parts, torch.ones(4, 6)).items()}

    assert found == {
        "x": (4, 6),
        "getitem": (4, 3),
        "getitem_1": (4, 3),
        "add": (4, 3),
        "output": (4, 3),
    }


class _Parts(nn.Module):
    """Splits in two, rounds one half and adds it to the other."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum."""
        first, second = torch.split(x, 3, 1)
        return first + second.long()


def test_ancestors_are_all_that_a_value_depends_on() -> None:
    """A node is its own ancestor; the output depends on the input; what comes later does not."""
    whole = module("densenet")
    nodes = computed("densenet")

    for index in range(0, len(nodes), 7):
        found = fx_graph.ancestors(nodes[index])

        assert nodes[index] in found
        assert set(nodes[index].all_input_nodes) <= found
        assert found.isdisjoint(nodes[index + 1 :])
    assert set(_inputs(whole)) <= fx_graph.ancestors(fx_graph.output_of(whole))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nodes_are_found_by_name(architecture: str) -> None:
    """Each name finds its own node."""
    whole = module(architecture)

    assert all(fx_graph.node_named(whole, node.name) is node for node in whole.graph.nodes)


@pytest.mark.parametrize(
    "edit", [lambda value: value * 0, lambda value: value.clamp(max=0.1), torch.roll]
)
def test_editing_is_replacing_in_the_head(edit: Callable[..., torch.Tensor]) -> None:
    """Editing a node of the whole equals running the rest on the edited value."""
    whole, node = module("small_cnn"), at("small_cnn", 0.5)
    change = (lambda value: edit(value, 1)) if edit is torch.roll else edit
    head = fx_graph.part(whole, [node], fx_graph.output_of(whole))

    with torch.no_grad():
        found = fx_graph.run(whole, IMAGES, edits={node.name: change})
        expected = head(change(fx_graph.values(whole, IMAGES, [node])[0]))

    torch.testing.assert_close(found, expected, rtol=0, atol=0)
