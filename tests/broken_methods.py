"""Methods that each break one check of the contract, as an author may."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from methods import HashMethod
from methods.cibhash import CIBHash
from methods.lsh import LSH
from methods.space import Range, search_space

BROKEN = []


def breaks(check, *words):
    """Enter a class among the broken ones, with the words that its author is to read."""

    def enter(cls):
        BROKEN.append(pytest.param(check, cls, words, id=f"{check}-{cls.__name__}"))
        return cls

    return enter


@breaks("paper_is_named_with_a_link", "paper is 'A book'; add a link")
class NoLink(LSH):
    paper = "A book"


@breaks("declarations_are_those_the_runner_knows", "consumes is 'images'", "features, tokens")
class Images(LSH):
    consumes = "images"


@breaks("declarations_are_those_the_runner_knows", "n_views is 0")
class NoViews(LSH):
    n_views = 0


@breaks("declarations_are_those_the_runner_knows", "keeps 1 views an image and n_views is 2")
class SmallBank(CIBHash):
    recipe = replace(CIBHash.recipe, bank_size=1)


@breaks("declarations_are_those_the_runner_knows", "a recipe is {'epochs': 3}; give Recipe(")
class DictRecipe(LSH):
    recipe = {"epochs": 3}  # noqa: RUF012  # what an author may write


@breaks("settings_are_keywords_with_defaults", "'alpha=1.0' of __init__", "write it after a *")
class Positional(LSH):
    def __init__(self, in_dim, n_bits, alpha=1.0):
        super().__init__(in_dim, n_bits)


@breaks("settings_are_keywords_with_defaults", "'alpha' of __init__", "as its default")
class NoDefault(LSH):
    def __init__(self, in_dim, n_bits, *, alpha):
        super().__init__(in_dim, n_bits)


@breaks("settings_are_keywords_with_defaults", "'**rest' of __init__")
class Swallows(LSH):
    def __init__(self, in_dim, n_bits, **rest):
        super().__init__(in_dim, n_bits)


@breaks("settings_are_keywords_with_defaults", "takes n_bits, in_dim; begin with in_dim, n_bits")
class Swapped(LSH):
    def __init__(self, n_bits, in_dim):
        super().__init__(in_dim, n_bits)


@breaks("tuned_settings_stay_within_the_limits", "space reaches {'tau': 0.0}: ", "above 0, got 0.0")
class ReachesZero(CIBHash):
    space = search_space(tau=Range(0.0, 1.0, "a book", log=False))


@breaks("tuned_settings_stay_within_the_limits", "names 'temperature'; name an argument")
class TunesNothing(CIBHash):
    space = search_space(temperature=Range(0.1, 1.0, "a book"))


@breaks("tuned_settings_stay_within_the_limits", "tau be 1.0 to 2.0", "own value is 0.3; widen it")
class LeavesItselfOut(CIBHash):
    space = search_space(tau=Range(1.0, 2.0, "a book"))


@breaks("sizes_below_one_are_refused", "in_dim=0 is accepted; call super().__init__")
class TakesAnything(LSH):
    def __init__(self, in_dim, n_bits):
        super().__init__(max(in_dim, 1), max(n_bits, 1))


@breaks("sizes_below_one_are_refused", "in_dim=0 is refused by 'no'; call super().__init__")
class RefusesAlone(LSH):
    def __init__(self, in_dim, n_bits):
        if min(in_dim, n_bits) < 1:
            raise ValueError("no")
        super().__init__(in_dim, n_bits)


class Plain(HashMethod):
    """Its matrix is a plain attribute."""

    paper = LSH.paper

    def __init__(self, in_dim, n_bits):
        super().__init__(in_dim, n_bits)
        self.W = torch.randn(in_dim, n_bits)

    def project(self, x):
        return (x - x.new_tensor(0.0)) @ self.W

    def fit(self, data, trainer):
        return self


@breaks("something_is_kept_in_parameters_or_buffers", "no parameter and no buffer", "make a layer")
class Stateless(Plain):
    pass


@breaks("fit_returns_the_method_itself", "fit returned NoneType; end it with `return self`")
class ReturnsNothing(LSH):
    def fit(self, data, trainer):
        super().fit(data, trainer)


@breaks("scores_are_a_row_an_image_and_a_column_a_bit", "at 8 bits", "returned (192, 1)")
class OneColumn(LSH):
    def project(self, x):
        return self.head(x)[:, :1]


@breaks("scores_are_a_row_an_image_and_a_column_a_bit", "at 32 bits and 24 features", "(192, 24)")
class NoWiderThanFeatures(LSH):
    def project(self, x):
        return self.head(x)[:, : self.in_dim]


@breaks("scores_are_a_row_an_image_and_a_column_a_bit", "not finite float")
class NotANumber(LSH):
    def project(self, x):
        return self.head(x).log()


@breaks("scores_are_a_row_an_image_and_a_column_a_bit", "not finite float")
class Whole(LSH):
    def project(self, x):
        return self.head(x).long()


@breaks("scores_are_a_row_an_image_and_a_column_a_bit", "other scores when it is called again")
class DrawsInProject(LSH):
    def project(self, x):
        return self.head(x) + torch.randn(len(x), self.n_bits)


@breaks("scores_are_a_row_an_image_and_a_column_a_bit", "torch.uint8; leave it as it is")
class OwnEncode(LSH):
    def encode(self, x, chunk=8192):
        return super().encode(x).byte()


@breaks("chunks_do_not_change_codes", "codes of 50 images at a time differ", "take them in fit")
class CentresWhatItIsGiven(LSH):
    def project(self, x):
        scores = self.head(x)
        return scores - scores.mean(0)


@breaks("equal_seeds_give_equal_codes", "two fits from one seed differ in", "torch's global one")
class OwnDraws(LSH):
    def fit(self, data, trainer):
        g = torch.Generator()
        g.seed()
        self.head.weight.copy_(torch.randn(self.head.weight.shape, generator=g))
        return super().fit(data, trainer)


@breaks("a_second_fit_forgets_the_first", "differ from those of a first in", "set anew what it")
class GoesOn(LSH):
    def fit(self, data, trainer):
        self.head.weight.add_(data.features.mean(0))
        return super().fit(data, trainer)


@breaks("a_second_fit_forgets_the_first", "differ from those of a first in", "use prepare")
class GoesOnTraining(CIBHash):
    def fit(self, data, trainer):
        self.prepare(data)
        trainer.train(self, data)
        return self


@breaks("the_global_seed_is_left_to_the_runner", "call no torch.manual_seed")
class Seeds(LSH):
    def fit(self, data, trainer):
        torch.manual_seed(0)
        return super().fit(data, trainer)


@breaks("saving_and_loading_keeps_codes", "a loaded copy gives other codes", "nor buffer: W;")
class PlainMatrix(Plain):
    def __init__(self, in_dim, n_bits):
        super().__init__(in_dim, n_bits)
        self.register_buffer("mu", torch.zeros(in_dim))


@breaks("saving_and_loading_keeps_codes", "cannot load", "make every parameter and buffer in")
class LateBuffer(LSH):
    def fit(self, data, trainer):
        self.register_buffer("mu", data.features.mean(0))
        return super().fit(data, trainer)


@breaks("nothing_stays_behind_on_a_device_move", "matmul in project meets", "nor buffer: W;")
class LeavesItsMatrix(PlainMatrix):
    pass


@breaks("nothing_stays_behind_on_a_device_move", "sub in project meets", "x.new_zeros")
class MakesOnTheCpu(LSH):
    def project(self, x):
        return self.head(x - torch.zeros(self.in_dim))


@breaks("inputs_stay_unmodified", "changed the features in place; write x = x - mu")
class CentresInPlace(LSH):
    def fit(self, data, trainer):
        features = data.features
        features -= features.mean(0)
        return super().fit(data, trainer)


@breaks("labels_are_never_asked_for", "asked the training set for labels;")
class ReadsLabels(LSH):
    def fit(self, data, trainer):
        data.labels.float()
        return super().fit(data, trainer)


@breaks("labels_are_never_asked_for", "asked the training set for labels;")
class LooksForLabels(LSH):
    def fit(self, data, trainer):
        getattr(data, "labels", None)
        return super().fit(data, trainer)


@breaks("labels_are_never_asked_for", "method declares no such supervision; set supervision =")
class UndeclaredTarget(LSH):
    def fit(self, data, trainer):
        data.target_distances(torch.arange(3), torch.arange(3))
        return super().fit(data, trainer)


@breaks("labels_are_never_asked_for", "AttributeError", "(broken_methods.py, line ")
class OwnAttributeError(LSH):
    def fit(self, data, trainer):
        return self.absent


@breaks("images_alike_get_codes_alike", "chance gives 33%", "centre the features")
class SeesNothing(LSH):
    def project(self, x):
        return super().project(x) * 0 + torch.arange(1.0, self.n_bits + 1).to(x.device)


@breaks("loss_or_fit_is_defined", "defines neither loss nor fit")
class Unfinished(LSH):
    fit = HashMethod.fit


@breaks("loss_terms_are_named_finite_scalars", "loss term 'all' is (8,)", "say by .mean()")
class ManyNumbers(CIBHash):
    def loss(self, batch):
        return {"all": self.project(batch.views[0]).mean(1)}


@breaks("loss_terms_are_named_finite_scalars", 'loss must return a dict, {"name": term}')
class BareLoss(ManyNumbers):
    def loss(self, batch):
        return self.project(batch.views[0]).mean()


@breaks("loss_terms_are_named_finite_scalars", "loss term 'all' is float")
class PythonNumber(ManyNumbers):
    def loss(self, batch):
        return {"all": self.project(batch.views[0]).mean().item()}


@breaks("loss_terms_are_named_finite_scalars", "loss term 'all' is inf")
class Infinite(ManyNumbers):
    def loss(self, batch):
        return {"all": self.project(batch.views[0]).mean() + torch.inf}


@breaks("gradients_reach_every_parameter", "idle gets no gradient; use it in loss")
class IdleParameter(CIBHash):
    def __init__(self, in_dim, n_bits):
        super().__init__(in_dim, n_bits)
        self.idle = nn.Parameter(torch.zeros(3))


@breaks("gradients_reach_every_parameter", "loss carries no gradient; look for detach")
class Detached(ManyNumbers):
    def loss(self, batch):
        return {"all": self.project(batch.views[0]).mean().detach()}


@breaks("loss_is_finite_at_any_batch_size_and_length", "of 1 image at 8 bits is not finite")
class NeedsTwo(CIBHash):
    def loss(self, batch):
        scores = self.project(batch.views[0])
        return super().loss(batch) | {"spread": scores.sum() / (len(scores) - 1)}


@breaks("loss_of_identical_images_is_finite", "gradient of head", "by loss of six copies of one")
class RootOfNothing(CIBHash):
    def loss(self, batch):
        scores = self.project(batch.views[0])
        return super().loss(batch) | {"spread": (scores[0] - scores[-1]).square().sum().sqrt()}


@breaks("another_number_of_views_is_refused", "goes unnoticed; begin loss with self.require_views")
class TakesAnyViews(CIBHash):
    def require_views(self, batch):
        pass

    def loss(self, batch):
        return super().loss(replace(batch, views=batch.views[:2]))


@breaks("another_number_of_views_is_refused", "ends in ValueError: too many values", "begin loss")
class FallsOverViews(CIBHash):
    def require_views(self, batch):
        pass


@breaks("training_lowers_the_loss", "the loss went from", "look at its sign")
class Climbs(CIBHash):
    def loss(self, batch):
        terms = super().loss(batch)
        return {name: 2 * term.detach() - term for name, term in terms.items()}


@breaks("seeds_train_together_as_alone", "stacks is True, and fit is not the default", "prepare")
class FitsItsOwnWay(CIBHash):
    def fit(self, data, trainer):
        return super().fit(data, trainer)


@breaks("seeds_train_together_as_alone", "three seeds cannot be stacked", "branch on no value")
class ReadsBack(CIBHash):
    def loss(self, batch):
        terms = super().loss(batch)
        return terms if terms["kl"].item() < 1 else {"kl": terms["kl"]}


@breaks("seeds_train_together_as_alone", "of seed 1 ends up to", "keep no state in attributes")
class SharesAnAttribute(CIBHash):
    def __init__(self, in_dim, n_bits):
        super().__init__(in_dim, n_bits)
        self.wanted = torch.randn(n_bits)

    def loss(self, batch):
        apart = self.project(batch.views[0]) - self.wanted.to(batch.views)
        return super().loss(batch) | {"wanted": apart.square().mean()}
