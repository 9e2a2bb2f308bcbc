"""Checks that every hashing method must pass, each a function of the class.

A check takes the class. It returns where the contract is met, and raises `ContractError` where it
is broken: what was expected, what came, the way out. The tests cross the checks with METHODS;
``python -m methods.check`` runs them on anybody's class.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from benchmarks.contract import codes, declarations, loss
from benchmarks.contract.stand_ins import ContractError
from benchmarks.grid.find_method import describe
from benchmarks.grid.no_exit import no_exit
from methods.base import HashMethod

Check = Callable[[type[HashMethod]], None]

DECLARATIONS: tuple[Check, ...] = (
    declarations.paper_is_named_with_a_link,
    declarations.loss_or_fit_is_defined,
    declarations.declarations_are_those_the_runner_knows,
    declarations.settings_are_keywords_with_defaults,
    declarations.tuned_settings_stay_within_the_limits,
    declarations.sizes_below_one_are_refused,
    declarations.something_is_kept_in_parameters_or_buffers,
    declarations.no_data_set_is_imported,
)
LOSS: tuple[Check, ...] = (
    loss.loss_terms_are_named_finite_scalars,
    loss.gradients_reach_every_parameter,
    loss.loss_is_finite_at_any_batch_size_and_length,
    loss.loss_of_identical_images_is_finite,
    loss.another_number_of_views_is_refused,
    loss.training_lowers_the_loss,
    loss.seeds_train_together_as_alone,
)
CODES: tuple[Check, ...] = (
    codes.fit_returns_the_method_itself,
    codes.scores_are_a_row_an_image_and_a_column_a_bit,
    codes.chunks_do_not_change_codes,
    codes.equal_seeds_give_equal_codes,
    codes.a_second_fit_forgets_the_first,
    codes.the_global_seed_is_left_to_the_runner,
    codes.saving_and_loading_keeps_codes,
    codes.nothing_stays_behind_on_a_device_move,
    codes.inputs_stay_unmodified,
    codes.labels_are_never_asked_for,
    codes.images_alike_get_codes_alike,
)
ON_CUDA: tuple[Check, ...] = (codes.a_move_to_cuda_keeps_codes,)
"""For machines that have such a device."""


def checks_of(cls: type[HashMethod]) -> tuple[Check, ...]:
    """List the checks that a class is to pass on any machine; LOSS is for those that have one."""
    is_trained = cls.loss is not HashMethod.loss
    return (*DECLARATIONS, *(LOSS if is_trained else ()), *CODES)


def title(check: Check) -> str:
    """Return a check's name as a sentence."""
    return check.__name__.replace("_", " ")


def fault_of(check: Check, cls: type[HashMethod]) -> str | None:
    """Run one check; returns what failed in the author's terms, or None.

    An error of the method's own is told with the last line of its file that it went through.
    """
    try:
        with no_exit():
            check(cls)
    except ContractError as error:
        return str(error)
    except Exception as error:  # whatever the author's code raises is a finding
        return describe(error, inspect.getfile(cls))
    return None
