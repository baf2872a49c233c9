"""Buffers of images: equal chances in the reservoir, equal classes in the balance, bytes that come back."""

import pytest
import torch
from builders.learning import FIRST, bar_split, context_of, data_of

from anamnesis.methods.replay.replay_buffer import ReplayBuffer, read_training_images, to_uint8


def numbered(start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Samples whose image, target and logit all say their number in the stream."""
    number = torch.arange(start, stop)
    return (number / 255.0)[:, None, None, None], number, number[:, None].float()


def numbered_images(rows: torch.Tensor) -> torch.Tensor:
    """Images [N, 1, 1, 1] that say their row."""
    return rows.byte()[:, None, None, None]


def stream(capacity: int, seed: int, length: int = 40) -> ReplayBuffer:
    buffer, generator = ReplayBuffer(capacity), torch.Generator().manual_seed(seed)
    for start in range(0, length, 7):
        buffer.offer(*numbered(start, min(start + 7, length)), "north", generator)
    return buffer


def test_every_sample_of_the_stream_is_kept_with_equal_probability() -> None:
    counts = torch.zeros(40)
    for seed in range(600):
        memory = stream(10, seed).samples
        assert len(memory.targets.unique()) == 10
        assert torch.equal(memory.images[:, 0, 0, 0].long(), memory.targets)  # what belongs together stays together
        assert torch.equal(memory.logits[:, 0].long(), memory.targets)
        counts[memory.targets] += 1
    share = counts / 600  # expected 0.25, standard error 0.018
    assert share.min() > 0.17
    assert share.max() < 0.33


def test_a_short_stream_is_kept_whole() -> None:
    assert stream(50, 0).samples.targets.tolist() == list(range(40))
    assert stream(50, 0).offered_count == 40


def test_logits_widen_and_say_how_many_they_were() -> None:
    buffer, generator = ReplayBuffer(10), torch.Generator().manual_seed(0)
    buffer.offer(torch.zeros(2, 1, 4, 4), torch.zeros(2).long(), torch.ones(2, 2), "north", generator)
    buffer.offer(torch.zeros(3, 1, 4, 4), torch.ones(3).long(), torch.ones(3, 5), "north", generator)
    assert buffer.samples.class_counts.tolist() == [2, 2, 5, 5, 5]
    assert buffer.samples.logits.sum(1).tolist() == [2, 2, 5, 5, 5]


def test_balance_keeps_equally_many_and_fills_up_with_what_there_is() -> None:
    buffer, generator = ReplayBuffer(12), torch.Generator().manual_seed(0)
    buffer.balance(torch.arange(30) % 2, numbered_images, "north", generator)
    assert buffer.samples.targets.bincount().tolist() == [6, 6]
    few = torch.tensor([2] * 20 + [3])  # class 3 has one image only
    buffer.balance(few, numbered_images, "south", generator)
    counts = buffer.samples.targets.bincount().tolist()
    assert sum(counts) == 12
    assert counts[3] == 1
    assert sorted(counts[:3]) == [3, 4, 4]
    of_two = buffer.samples.targets < 2  # what belongs together stays together
    assert torch.equal(buffer.samples.images[of_two, 0, 0, 0] % 2, buffer.samples.targets[of_two].byte())
    assert buffer.samples.images[buffer.samples.targets == 3].unique().tolist() == [20]


def test_some_images_of_the_training_split_are_read_in_their_order() -> None:
    context = context_of((FIRST,))
    split = bar_split(FIRST, context.labels)
    rows = torch.tensor([19, 3, 0, 12])
    assert torch.equal(read_training_images(data_of(context, split), rows), to_uint8(split.images[rows].float()))


def test_eight_bit_pixels_come_back_exactly_and_a_state_too() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(to_uint8(pixels.float() / 255), pixels)
    assert torch.equal(to_uint8((pixels.float() / 255).half().float()), pixels)  # splits are kept in half precision
    buffer, loaded = stream(10, 3), ReplayBuffer(10)
    loaded.load_state_dict(buffer.state_dict(), torch.device("cpu"))
    drawn = [source.draw(4, torch.Generator().manual_seed(1)) for source in (buffer, loaded)]
    assert torch.equal(drawn[0].targets, drawn[1].targets)
    assert loaded.offered_count == 40
    assert len(drawn[0]) == 4
    assert torch.equal((drawn[0].images[:, 0, 0, 0] * 255).round().long(), drawn[0].targets)


def test_a_site_that_returns_takes_its_samples_out_and_no_others() -> None:
    buffer, generator = ReplayBuffer(10), torch.Generator().manual_seed(0)
    for site, start in (("north", 0), ("south", 100), ("north", 4)):
        buffer.offer(*numbered(start, start + 3), site, generator)
    buffer.remove_site("north")
    assert buffer.samples.targets.tolist() == [100, 101, 102]
    assert buffer.is_of_site(buffer.samples, "south").all()
    assert buffer.offered_count == 3
    buffer.offer(*numbered(200, 220), "north", generator)
    assert len(buffer) == 10  # the free slots were filled
    assert buffer.is_of_site(buffer.samples, "north").tolist() == [number >= 200 for number in buffer.samples.targets]
    buffer.remove_site("south")
    buffer.remove_site("north")
    assert buffer.samples is None
    assert not buffer.state_dict()


@pytest.mark.parametrize("removed", ["north", "south", ""])
def test_a_buffer_of_several_sites_is_read_again_in_its_order(removed: str) -> None:
    buffer, loaded, generator = ReplayBuffer(10), ReplayBuffer(10), torch.Generator().manual_seed(0)
    for number, site in enumerate(("north", "south", "west")):
        buffer.offer(*numbered(20 * number, 20 * number + 20), site, generator)
    buffer.remove_site(removed)
    loaded.load_state_dict(buffer.state_dict(), torch.device("cpu"))
    assert torch.equal(loaded.samples.targets, buffer.samples.targets)
    assert torch.equal(loaded.samples.sites, buffer.samples.sites)
    assert loaded.offered == buffer.offered
