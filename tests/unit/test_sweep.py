"""How a sweep runs: what it skips, how much at once, what it costs, what it says."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import time
import warnings
from unittest import mock

import pytest
import torch
from allocated import allocated_by
from through_hooks import by_hooks
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from toy_models import STYLES, VOCABULARY, random_model, random_tokens

from patchwidget import Head, Node, PatchStudy, PatchWidget
from patchwidget.decoder import Decoder, StreamReadout
from patchwidget.exact import Progress, bar, batches, budget, memory, portions
from patchwidget.exact.swap import Swap


@pytest.fixture(scope="module", params=STYLES)
def model(request):
    return random_model(request.param, n_layers=3)


def never_asked(study):
    """The model's own products are no part of a sweep's."""
    return mock.patch.object(study._watch, "_ask_model", return_value=None)


@pytest.fixture
def quiet(model, tokens):
    study = PatchStudy(model, *tokens)
    with never_asked(study):
        yield study


@pytest.fixture(scope="module")
def tokens():
    return random_tokens(3, 7, differ=(2, 5))


sweep_room = importlib.import_module("patchwidget.exact.sweep")


def swap_of(study) -> Swap:
    return study._runner._swap


# ---- several metrics ------------------------------------------------------------------


def last_gap(logits):
    return (logits[:, -1, 3] - logits[:, -1, 5]).mean()


def entropy(logits):
    log_probs = logits.log_softmax(-1)
    return -(log_probs.exp() * log_probs).sum(-1).mean(-1)


METRICS = {"logit_diff": "logit_diff", "p": "prob", "gap": last_gap, "entropy": entropy}


def test_one_sweep_reads_several_metrics(model, tokens):
    study = PatchStudy(model, *tokens, metric=METRICS)
    assert study.metrics == tuple(METRICS)
    assert study.metric == "logit_diff"
    study.exact("z")
    cost = study.cost("z")
    assert cost.patches == 0, "known for every metric"
    for name, like in METRICS.items():
        alone = PatchStudy(model, *tokens, metric=like)
        together = study.exact("z", metric=name)
        assert together.metric == name
        assert_close(together.raw, alone.exact("z").raw)
        node = Head(1, 2)
        effect = study.exact([node], metric=name)[node]
        assert_close(effect.raw, alone.exact([node])[node].raw)
        assert_close(study.estimate("q", metric=name).raw, alone.estimate("q").raw)
    assert study.exact([Head(0, 0)])["L0H0.z"].halves is not None
    assert study.exact([Head(0, 0)], metric="p")["L0H0.z"].halves is None
    reverse = study.reversed().exact("z", metric="gap")
    noising = PatchStudy(model, *tokens, metric=last_gap, direction="noising")
    assert_close(reverse.raw, noising.exact("z").raw)


def test_metrics_that_are_not_there(model, tokens):
    study = PatchStudy(model, *tokens, metric=METRICS)
    for ask in (
        lambda: study.exact("z", metric="kl"),
        lambda: study.estimate("z", metric="kl"),
        lambda: study.known("z", metric="kl"),
    ):
        with pytest.raises(
            ValueError, match="no metric 'kl': choose one of logit_diff"
        ):
            ask()
    assert len(study.verified) == 0
    with pytest.raises(ValueError, match="no metric is given"):
        PatchStudy(model, *tokens, metric={})


def test_a_metric_that_raises_names_its_node(model, tokens):
    calls = []

    def sometimes(logits):
        calls.append(1)
        if len(calls) == 5:
            raise LookupError("no such name")
        return logits[:, -1, 3]

    study = PatchStudy(model, *tokens[:2], metric=sometimes)
    nodes = [Head(1, 0), Head(1, 1), Head(1, 2)]
    with pytest.raises(
        RuntimeError, match=r"sometimes raised LookupError: no such"
    ) as e:
        study.exact(nodes)
    assert "in which L1H2.z is patched" in str(e.value)
    assert isinstance(e.value.__cause__, LookupError)
    assert len(study.exact(nodes)) == 3, "asked again, it goes on"


# ---- what is skipped --------------------------------------------------------------------


class Products(TorchDispatchMode):
    """Sees every product with a weight matrix, as it is made."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        factors = {"aten::mm": args[0:2]}.get(func._schema.name, args[1:3])
        if func._schema.name in ("aten::mm", "aten::addmm", "aten::addmm_"):
            (n, k), (_, m) = (factor.shape for factor in factors)
            self.shapes.append((n, k, m))
        return func(*args, **(kwargs or {}))

    @property
    def rows(self):
        return [n for n, _, _ in self.shapes]


def products_of(study, nodes):
    with Products() as seen:
        found = study.exact(nodes)
    return seen, found


def test_positions_before_the_change_are_not_computed(quiet):
    seen, _ = products_of(quiet, [Node("resid_pre", 1, pos=5)])
    assert max(seen.rows) == 3 * 2, "two positions of three pairs"
    seen, _ = products_of(quiet, [Head(1, 1)])
    assert max(seen.rows) == 3 * 5, "from the first differing token on"
    seen, _ = products_of(quiet, [Node("resid_pre", 1, pos=p) for p in (3, 4, 6)])
    assert max(seen.rows) == 3 * (4 + 3 + 1), "each from its own position on"


def test_what_cannot_matter_is_not_run_at_all(quiet):
    nodes = [
        Node("resid_pre", 2, pos=0),  # before the first difference
        Node("z", 2, head=1, pos=3),  # in the last layer only the last position is read
        Node("resid_post", 2, pos=5),
        Node("mlp_out", 2, pos=4),
        Node("q", 2, head=0, pos=4),
    ]
    seen, found = products_of(quiet, nodes)
    assert not any(bool(effect.raw.any()) for effect in found.values())
    assert seen.rows == []
    assert quiet.cost([Node("resid_pre", 1, pos=0)]).patches == 0


def test_the_last_layer_computes_the_position_that_is_read(quiet):
    seen, _ = products_of(quiet, [Node("resid_post", 1, pos=3)])
    assert seen.rows.count(3 * 4) == 2, "keys and values of all that changed"
    assert set(seen.rows) == {3 * 4, 3}, "the rest at one position"


# ---- how much at once -------------------------------------------------------------------


def peak_batch(study, nodes, monkeypatch):
    sizes = []
    real = sweep_room._run

    def run(swap, batch):
        sizes.append(len(batch.patches))
        return real(swap, batch)

    monkeypatch.setattr(sweep_room, "_run", run)
    study.exact(nodes)
    return sizes


def test_the_budget_bounds_what_runs_at_once(model, tokens, monkeypatch):
    nodes = [Head(1, head, "z", pos) for head in range(3) for pos in (2, 3, 4)]
    free = PatchStudy(model, *tokens)
    needed = budget.patch_bytes(swap_of(free))
    expected = free.exact(nodes)
    tight = PatchStudy(model, *tokens, budget=2 * needed)
    assert max(peak_batch(tight, nodes, monkeypatch)) == 2
    for node in nodes:
        assert_close(tight.verified[node].raw, expected[node].raw)
    assert tight.reversed()._runner._swap.budget == 2 * needed


@pytest.mark.parametrize("d_mlp", [20, 700])
@pytest.mark.parametrize("style", STYLES)
def test_what_lives_at_once_stays_in_the_budget(style, d_mlp, tokens):
    model = random_model(style, n_layers=3, d_mlp=d_mlp)

    def most(**options):
        study = PatchStudy(model, *tokens, metric="logprob", **options)
        with never_asked(study):
            return allocated_by(lambda: study.exact("mlp_out"))

    study = PatchStudy(model, *tokens, metric="logprob")
    allowed = 2 * budget.patch_bytes(swap_of(study))
    assert allowed / 3 < most(budget=allowed) <= allowed
    assert most() > allowed, "which did bind"


def test_a_quarter_of_what_is_free_is_taken_unless_asked(model, tokens, monkeypatch):
    devices = []

    def free(device):
        devices.append(device.type)
        return 8 * needed + 7

    swap = swap_of(PatchStudy(model, *tokens))
    needed = budget.patch_bytes(swap)
    monkeypatch.setattr(budget, "free_bytes", free)
    assert budget.allowed_bytes(None, torch.device("cuda")) == 2 * needed + 1
    assert budget.most_patches(swap) == 2
    assert devices == ["cuda", "cpu"], "of the device that is asked about"
    asked = swap_of(PatchStudy(model, *tokens, budget=3 * needed))
    assert budget.most_patches(asked) == 3
    assert devices == ["cuda", "cpu"]


def test_a_budget_for_less_than_one_patch_says_what_is_needed(model, tokens):
    study = PatchStudy(model, *tokens, budget=1000)
    needed = budget.patch_bytes(swap_of(study))
    with pytest.raises(ValueError, match=f"budget={needed} or more"):
        study.exact("z")
    enough = PatchStudy(model, *tokens, budget=needed)
    assert enough.exact("z").raw.isfinite().all()


@pytest.mark.parametrize("nothing", [0, -1])
def test_a_budget_of_nothing_is_for_estimates_only(model, tokens, nothing):
    study = PatchStudy(model, *tokens, budget=nothing)
    assert study.estimate("z").raw.isfinite().all()
    message = f"the budget is {nothing}: give budget=[0-9]+ or more, or fewer pairs"
    with pytest.raises(ValueError, match=message):
        study.exact("z")
    assert not study.verified


@pytest.mark.parametrize("budget", ["1GB", 1e9, [1]])
def test_a_budget_is_a_number_of_bytes(model, tokens, budget):
    with pytest.raises(
        TypeError, match=r"whole number of bytes, got .*2\*\*30 is 1 GiB"
    ):
        PatchStudy(model, *tokens, budget=budget)


def test_a_logit_difference_is_not_charged_for_the_vocabulary(model):
    tokens = random_tokens(3, 2, differ=(0,))  # so short that the end takes the most

    def needed(**options):
        return budget.patch_bytes(swap_of(PatchStudy(model, *tokens, **options)))

    both = needed(metric={"diff": "logit_diff", "p": "logprob"})
    assert needed(metric="logprob") == both == 3 * 4 * 3 * VOCABULARY
    assert needed() < both


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("can't allocate memory"),
    ],
    ids=["card", "processor"],
)
def test_out_of_memory_halves_the_batch(model, tokens, monkeypatch, error):
    nodes = list(PatchStudy(model, *tokens).extent.nodes("z"))
    expected = PatchStudy(model, *tokens).exact(nodes)
    study = PatchStudy(model, *tokens)
    real = sweep_room._run

    def greedy(swap, batch):
        if len(batch.patches) > 1:
            raise error
        return real(swap, batch)

    monkeypatch.setattr(sweep_room, "_run", greedy)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = study.exact(nodes)
    assert [str(one.message)[:40] for one in said] == [
        "memory did not suffice for 3 patches at "
    ], "once: the rest of the sweep keeps to what fits"
    for node in nodes:
        assert_close(found[node].raw, expected[node].raw)


def test_memory_that_runs_out_in_a_metric_halves_the_batch_too(
    model, tokens, monkeypatch
):
    def gap(logits):
        return logits[:, -1, 3] - logits[:, -1, 5]

    expected = PatchStudy(model, *tokens[:2], metric=gap).exact("z")
    study = PatchStudy(model, *tokens[:2], metric=gap)
    real = StreamReadout.logits

    def greedy(readout, *args):
        if len(readout.stream) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return real(readout, *args)

    monkeypatch.setattr(StreamReadout, "logits", greedy)
    with pytest.warns(RuntimeWarning, match="memory did not suffice"):
        assert_close(study.exact("z").raw, expected.raw)


def test_one_patch_that_does_not_fit_is_an_error(model, tokens, monkeypatch):
    study = PatchStudy(model, *tokens)

    def never(swap, batch):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(sweep_room, "_run", never)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        study.exact([Head(1, 1)])


def test_free_memory_is_a_sensible_number():
    free = memory.free_bytes(torch.device("cpu"))
    assert 2**20 < free < 2**50
    assert memory.free_bytes(torch.device("mps")) == 4 * 2**30


def system(root, *, available_kib, cgroup, **files):
    """A folder with what Linux tells of memory."""
    files = {
        "proc/meminfo": f"MemTotal: 999 kB\nMemAvailable: {available_kib} kB\n",
        "proc/self/cgroup": cgroup,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return memory.free_bytes(torch.device("cpu"), root)


def test_a_containers_limit_is_what_is_free(tmp_path):
    limits = {
        "memory.max": "max\n",
        "a/memory.max": "5000\n",
        "a/memory.current": "3000\n",
        "a/memory.stat": "anon 7\ninactive_file 400\n",
        "a/b/memory.max": "900000\n",
        "a/b/memory.current": "1\n",
    }
    free = system(tmp_path, available_kib=100, cgroup="0::/a/b\n", **limits)
    assert free == 5000 - 3000 + 400


def test_a_limit_of_the_older_kind_of_group(tmp_path):
    limits = {
        "memory/memory.limit_in_bytes": "5000\n",
        "memory/memory.usage_in_bytes": "6000\n",
        "memory/memory.stat": "total_inactive_file 200\n",
    }
    cgroup = "12:cpu,cpuacct:/x\n3:memory:/host/path\n"
    assert system(tmp_path, available_kib=9, cgroup=cgroup, **limits) == 0


@pytest.mark.parametrize("cgroup", ["", "0::/\n", "0::/a\n1:name=systemd:/a\n"])
def test_without_a_limit_the_machines_memory_is_free(tmp_path, cgroup):
    assert system(tmp_path, available_kib=10, cgroup=cgroup) == 10 * 1024


def test_a_cards_unused_cache_is_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 700)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 300)
    assert memory.free_bytes(torch.device("cuda")) == 1400


def test_batches_have_about_as_many_rows(model, monkeypatch):
    study = PatchStudy(model, *random_tokens(2, 10, differ=(1,)))
    swap = swap_of(study)
    patches = {p: (Node("resid_pre", 1, pos=p),) for p in range(1, 10)}
    starts = {batches.start_of(one, p): [one] for p, one in patches.items()}
    rows = {p: 2 * (10 - p) for p in range(1, 10)}  # 90 in all
    for at_once, expected in ((1000, [90]), (50, [48, 42]), (1, list(rows.values()))):
        monkeypatch.setattr(budget, "_ROWS", {"cpu": at_once})
        found = list(batches.batches(swap, starts))
        assert [sum(rows[p] for p in b.starts) for b in found] == expected
        assert [one for b in found for one in b.patches] == list(patches.values())


# ---- what it costs and says -----------------------------------------------------------


def test_cost_counts_the_products_that_are_made(tokens, monkeypatch):
    """Against a count of every multiplication with a weight matrix, as it happens."""
    model = random_model(STYLES[0], n_layers=3)
    study = PatchStudy(model, *tokens)
    node = Node("mlp_out", 0, pos=2)
    cost = study.cost([node])
    with never_asked(study), Products() as seen:
        study.exact([node])
    made = [n * k * m for n, k, m in seen.shapes]
    n_pairs, d_model = 3, study._runs.engine.weights.W_U.shape[0]
    queries = study._runs.engine.weights.layers[0].attn.W_Q.numel() // d_model
    after = [3, 4, 5, 6, 7]  # positions seen from 2, 3, ... on; the last layer asks one
    attention = 2 * n_pairs * queries * (sum(after) + 7)
    assert (
        made.pop() == made.pop() >= 2 * n_pairs * d_model
    )  # answers, and their logits
    assert cost.multiplications == sum(made) + attention + 2 * n_pairs * d_model
    assert cost.patches == 1
    assert cost.seconds > 0
    assert "1 patch, about" in str(cost)


def test_pauses_between_steps_are_no_part_of_the_pace(model, tokens):
    study = PatchStudy(model, *tokens)
    for _ in study.steps("exact", "z"):
        time.sleep(0.1)
    assert study.cost("q").seconds < 0.2


@pytest.mark.parametrize("n_layers", [1, 3])
def test_the_pace_is_not_that_of_the_first_layer_which_is_cold(
    tokens, n_layers, monkeypatch
):
    study = PatchStudy(random_model(STYLES[0], n_layers=n_layers), *tokens)
    steps, waits = Decoder.steps, [0.0, 0.5 if n_layers > 1 else 0.0, 0.0, 0.5]

    def slow_at_first(*args):
        for wait, step in zip(waits, steps(*args), strict=False):
            time.sleep(wait)
            yield step

    monkeypatch.setattr(Decoder, "steps", slow_at_first)
    (node,) = study.nodes("L0H0.z")
    assert 0 < study.cost([node]).seconds < 0.2


def test_cost_of_kinds_that_are_not_there_is_told_in_words(tokens):
    model = random_model(STYLES[0])
    study = PatchStudy(model, *tokens)
    study._runs.base.values.pop(("resid_mid", 0))
    with pytest.raises(ValueError, match="there is no resid_mid in this model"):
        study.cost(["L0.resid_mid@2"])


def test_an_end_is_told_however_early_it_comes(model, tokens):
    study = PatchStudy(model, *tokens)
    told = []
    study.subscribe(told.append)
    steps = study.steps("exact", "z")
    next(steps)
    steps.close()
    assert told == [()]


def test_baselines_are_copies(model, tokens):
    study = PatchStudy(model, *tokens)
    study.baselines[0].zero_()
    assert study.baselines[0].abs().min() > 0


def test_cost_of_what_is_known_is_nothing(model, tokens):
    study = PatchStudy(model, *tokens)
    everything = study.cost("z")
    assert everything.patches == 9
    study.exact([Head(0, 0), Head(2, 1)])
    rest = study.cost("z")
    assert rest.patches == 7
    assert rest.multiplications < everything.multiplications
    study.exact("z")
    assert study.cost("z").patches == study.cost("z").multiplications == 0
    assert study.cost("mlp_out", window=3).patches == 3 * 5


def test_cost_through_hooks_counts_patches(model, tokens):
    study = by_hooks(model, *tokens)
    cost = study.cost("z")
    assert (cost.patches, cost.multiplications) == (9, 0)
    assert cost.seconds > 0


def test_progress_tells_the_share_of_the_work(model, tokens):
    study = PatchStudy(model, *tokens)
    steps = list(study.steps("exact", "z"))
    work = [step.work for step in steps]
    assert work == sorted(work)
    assert work[0] == 0
    assert work[-1] == 1
    # Patches of the last layers cost less than their number says.
    middle = next(step for step in steps if step.done > step.total / 2)
    assert middle.work > middle.done / middle.total
    again = list(study.steps("exact", "z"))
    assert [step.done for step in again] == [again[0].total]


@pytest.fixture
def made(monkeypatch):
    """How many nodes were made so far."""
    count, check = [0], Node.__post_init__

    def counted(node):
        count[0] += 1
        check(node)

    monkeypatch.setattr(Node, "__post_init__", counted)
    return count


def most_made_in_a_step(steps, made):
    before, most = made[0], 0
    for _ in steps:
        before, most = made[0], max(most, made[0] - before)
    return most


def test_patches_are_made_and_set_up_a_portion_at_a_step(
    model, tokens, made, monkeypatch
):
    whole = PatchStudy(model, *tokens).exact("pattern", by="dest_src")
    monkeypatch.setattr(portions, "_AT_ONCE", 10)
    study = PatchStudy(model, *tokens)
    made[0] = 0
    steps = study.steps("exact", "pattern", by="dest_src")
    assert not made[0]
    assert next(steps).total == whole.values.numel() > 400
    assert most_made_in_a_step(steps, made) == 10
    assert_close(study.known("pattern", "dest_src").raw, whole.raw, rtol=0, atol=1e-6)


def test_a_job_of_all_neurons_is_started_by_making_few_of_them(
    model, tokens, made, monkeypatch
):
    monkeypatch.setattr(portions, "_AT_ONCE", 10)
    widget = PatchWidget(PatchStudy(model, *tokens))
    made[0], asked = 0, []
    monkeypatch.setattr(widget._jobs, "start", lambda *args: asked.append(args))
    widget.start("exact", "neuron")
    assert len(asked) == 1
    assert made[0] == 10


def test_nodes_that_are_asked_for_twice_count_once(model, tokens, monkeypatch):
    monkeypatch.setattr(portions, "_AT_ONCE", 3)
    study, z = PatchStudy(model, *tokens), [Head(0, h) for h in (0, 1, 0, 2, 1)]
    study.exact(z[:1])
    steps = list(study.steps("exact", [*z, Head(1, 0)]))
    assert [(step.done, step.total) for step in steps[:2]] == [(1, 5), (1, 4)]
    assert (steps[-1].done, steps[-1].total) == (4, 4)
    assert len(study.verified) == 4


def test_what_is_known_is_no_object_for_each_patch(model, tokens):
    """Python's collector goes through every object while a cell waits."""
    gc.collect()
    study, before = PatchStudy(model, *tokens), len(gc.get_objects())
    patches = len(list(study.exact("pattern", by="dest_src").nodes()))
    gc.collect()
    # A node and the tuple it is patched in; blocks and what the study makes once.
    assert len(gc.get_objects()) - before < 2 * patches + 500


def slow_steps():
    for done in range(4):
        time.sleep(0.15)
        yield Progress(done, 3, work=(done / 3) ** 2)


def text_of_bar(steps):
    shown = io.StringIO()
    with contextlib.redirect_stderr(shown):
        bar.exhaust(steps, "exact z")
    return shown.getvalue()


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # tqdm's own, without a notebook
def test_those_who_wait_see_how_long_it_will_be(monkeypatch):
    monkeypatch.setattr(bar, "SHOWN_AFTER_S", 0.1)
    text = text_of_bar(slow_steps())
    told = "exact z, 2/3 patches:  44%"
    assert told in text, "a share of the work, not of the patches"
    assert "[00:00<00:00]" in text


def test_who_waits_for_a_moment_sees_none():
    assert text_of_bar(slow_steps()) == ""


def test_short_calls_show_none(model, tokens, capsys):
    PatchStudy(model, *tokens).exact([Head(0, 0)])
    assert capsys.readouterr().err == ""


# ---- no copy more than needed ---------------------------------------------------------


def test_the_decoder_borrows_and_does_not_copy(model):
    decoder = Decoder.of(model)
    mine = {p.untyped_storage().data_ptr() for p in model.parameters()}
    for layer in decoder.weights.layers:
        for weight in (layer.attn.W_Q, layer.attn.W_O, layer.mlp.W_in, layer.mlp.W_out):
            assert weight.untyped_storage().data_ptr() in mine
