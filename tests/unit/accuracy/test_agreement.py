"""Agreement of answers: what parts from Off, held to how Off parts from itself."""

from pathlib import Path

import pytest

from harness import config
from harness.accuracy.agreement import Answers, agreement, is_asked, shared

HONEST = tuple(tuple(range(question, question + 48)) for question in range(10))


def answers(*, parted=(), at=12, when="before"):
    """Ten answers, of which some go another way from a token on."""
    return Answers(
        when=when,
        answers=tuple(
            tuple(-token if number in parted and i >= at else token for i, token in enumerate(answer, start=1))
            for number, answer in enumerate(HONEST)
        ),
    )


def test_agreement_is_the_share_before_the_first_difference():
    assert [1.0] * 10 == shared(answers(), answers())
    assert 11 / 48 == pytest.approx(shared(answers(), answers(parted={0}))[0])


def test_equal_answers_do_not_differ():
    found = agreement([answers()], [answers(), answers(when="after")])

    assert (1.0, 1.0, False) == (found.mtp, found.off, found.differs)


def test_an_arm_that_changes_most_answers_differs():
    found = agreement([answers(parted=range(8))], [answers(), answers()])

    assert found.differs
    assert found.mtp < 0.5


def test_one_answer_that_parts_is_chance():
    assert not agreement([answers(parted={3})], [answers(), answers()]).differs


def test_an_arm_is_held_to_the_noise_that_off_has_itself():
    noisy = [answers(parted=range(6), at=14), answers(parted=range(4, 10), at=14)]

    assert not agreement([answers(parted=range(2, 8), at=14)], noisy).differs


@pytest.mark.parametrize(("mtp", "off"), [([], [answers()] * 2), ([answers()], [answers()]), ([answers()], [])])
def test_too_few_answers_say_nothing(mtp, off):
    assert agreement(mtp, off) is None


def test_servers_are_asked_where_both_arms_give_their_own_tokens():
    assert is_asked(config.load(Path("tiny-vllm-cpu")))
    assert not is_asked(config.load(Path("quickstart")))
