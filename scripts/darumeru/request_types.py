"""Two request types of the harness that score token ids truncated after encoding, which text cannot express.

- `loglikelihood_shortest`: all continuations of a document are cut to the length of the shortest (extractive summary).
- `loglikelihood_distinct`: options are cut after the first token in which they differ. This is the paper's next-token
  choice, with one forward pass per question for every tokenizer.

The harness calls `getattr(lm, request_type)(requests)`. `install` adds both methods to its class of local models if
they are missing, so that `lm_eval --model hf` can run the tasks; existing methods are not changed.
"""

from collections.abc import Callable, Sequence
from itertools import groupby

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM

Continuations = Sequence[list[int]]


def loglikelihood_shortest(self: TemplateLM, requests: list[Instance], disable_tqdm: bool = False) -> list:
    """(log-probability, is greedy) of each continuation's first m tokens; m is the shortest length in a document."""
    return _score(self, requests, lambda continuations: min(map(len, continuations)), disable_tqdm)


def loglikelihood_distinct(self: TemplateLM, requests: list[Instance], disable_tqdm: bool = False) -> list:
    """(log-probability, is greedy) of each option, up to the token in which all options differ."""
    return _score(self, requests, distinct_length, disable_tqdm)


def distinct_length(continuations: Continuations) -> int:
    """Smallest number of first tokens in which all continuations differ; the longest length if there is none."""
    longest, different = max(map(len, continuations)), {tuple(tokens) for tokens in continuations}
    for length in range(1, longest):
        if len({tokens[:length] for tokens in different}) == len(different):
            return length
    return longest


def _score(lm: TemplateLM, requests: list[Instance], length: Callable[[Continuations], int], quiet: bool) -> list:
    encoded = []
    for _, document in groupby(requests, key=lambda request: (request.task_name, request.doc_id)):
        pairs = [lm._encode_pair(*request.args) for request in document]
        cut = length([continuation for _, continuation in pairs])
        encoded += [(None, context, continuation[:cut]) for context, continuation in pairs]
    return lm._loglikelihood_tokens(encoded, disable_tqdm=quiet)


def install() -> None:
    """Add the two request types to the harness's class of local models, if it lacks them."""
    for method in (loglikelihood_shortest, loglikelihood_distinct):
        if not hasattr(TemplateLM, method.__name__):
            setattr(TemplateLM, method.__name__, method)
