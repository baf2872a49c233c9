"""Buffers of images: equal chances in the reservoir, equal classes in the balance, bytes that come back."""

import torch

from anamnesis.methods.replay.replay_buffer import ReplayBuffer, to_uint8


def numbered(start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Samples whose image, target and logit all say their number in the stream."""
    number = torch.arange(start, stop)
    return (number / 255.0)[:, None, None, None], number, number[:, None].float()


def stream(capacity: int, seed: int, length: int = 40) -> ReplayBuffer:
    buffer, generator = ReplayBuffer(capacity), torch.Generator().manual_seed(seed)
    for start in range(0, length, 7):
        buffer.offer(*numbered(start, min(start + 7, length)), generator)
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
    buffer.offer(torch.zeros(2, 1, 4, 4), torch.zeros(2).long(), torch.ones(2, 2), generator)
    buffer.offer(torch.zeros(3, 1, 4, 4), torch.ones(3).long(), torch.ones(3, 5), generator)
    assert buffer.samples.class_counts.tolist() == [2, 2, 5, 5, 5]
    assert buffer.samples.logits.sum(1).tolist() == [2, 2, 5, 5, 5]


def test_balance_keeps_equally_many_and_fills_up_with_what_there_is() -> None:
    buffer, generator = ReplayBuffer(12), torch.Generator().manual_seed(0)
    buffer.balance(torch.zeros(30, 1, 4, 4, dtype=torch.uint8), torch.arange(30) % 2, generator)
    assert buffer.samples.targets.bincount().tolist() == [6, 6]
    few = torch.tensor([2] * 20 + [3])  # class 3 has one image only
    buffer.balance(torch.zeros(21, 1, 4, 4, dtype=torch.uint8), few, generator)
    counts = buffer.samples.targets.bincount().tolist()
    assert sum(counts) == 12
    assert counts[3] == 1
    assert sorted(counts[:3]) == [3, 4, 4]


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
