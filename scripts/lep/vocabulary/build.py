"""The paper's vocabularies: BPE, Unigram (replacement), Extended, Optimized (paper section 2.1.1)."""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, processors

from lep.config import UserError
from lep.corpus.scripts import is_shared
from lep.files import write_json
from lep.manifest import publish, staging, with_manifest
from lep.names import NEW_VOCABULARIES, VOCABULARIES
from lep.vocabulary.byte_view import SPACE, ByteView, byte_string, bytes_of
from lep.vocabulary.pieces import bpe_merges, is_text_piece, read_pieces
from lep.vocabulary.reach import unreachable_rows
from lep.vocabulary.spm import set_bos, to_fast_tokenizer
from lep.vocabulary.tokenizer_file import load_tokenizer, read_settings, read_state, rows_of
from lep.vocabulary.train import PIECES
from lep.vocabulary.words import keep_words_whole, marked_scripts

RECIPE_VERSION = 3


def build_vocabulary(
    original: Path,
    model: Path,
    kind: str,
    target: Path,
    *,
    keep: int | None = None,
    literal_pieces: str = "drop",
    letter_merges: str = "first",
) -> None:
    """Build the tokenizer folder of one adapted vocabulary.

    - `original`: folder of the model to adapt
    - `model`: folder of the new SentencePiece model (BPE except for `unigram`)
    - `keep` (only `optimized`): number of original tokens that stay, lowest ranks first. The exact published sizes
      prove that the paper's Optimized was made by rank
    - `literal_pieces`, `letter_merges` (only `extended` and `optimized`): see `extend`

    Raises `UserError` for an unknown `kind`, a missing `keep`, an original that is not BPE, and a union that text would
    use less than half of the new pieces of.
    """
    if kind not in NEW_VOCABULARIES:
        raise UserError(f"unknown vocabulary {kind!r}; use one of {', '.join(NEW_VOCABULARIES)}")
    vocabulary = VOCABULARIES[kind]
    if vocabulary.keeps == "some" and not keep:
        raise UserError(f"vocabulary {kind}: state how many original tokens to keep (families: optimized_keep)")
    state, settings = read_tokenizer(original)
    pieces = model / PIECES
    facts: dict = {}
    if vocabulary.replaces:
        tokenizer = _replacement(state, settings, pieces, vocabulary.model_type)
    else:
        letters = letter_merges
        if vocabulary.keeps == "some":
            state = shrink(state, keep)
            # As published: letter merges that shrinking removed are not added again.
            letters = "none" if letter_merges == "last" else letter_merges
        state, facts = extend(state, pieces, literal_pieces, letters)
        _check_reach(original, kind, facts)
        tokenizer = from_state(state)
    folder = staging(target)
    save_tokenizer(tokenizer, settings, folder)
    facts |= {"rows": rows_of(tokenizer), "kind": kind}
    config = {"kind": kind, "keep": keep, "literal_pieces": literal_pieces, "letter_merges": letter_merges}
    parents = with_manifest({"original": original, "model": model})
    publish(folder, target, recipe_version=RECIPE_VERSION, parents=parents, config=config, facts=facts)


def read_tokenizer(folder: Path) -> tuple[dict, dict]:
    """A model folder's tokenizer in canonical form, and its settings (or {}); raises `UserError` if it is not BPE."""
    state = read_state(folder)
    if state["model"]["type"] != "BPE":
        raise UserError(f"{folder}: only BPE tokenizers can be adapted, found {state['model']['type']}")
    roles = load_tokenizer(folder).special_tokens_map  # also of settings that are objects, or in other files
    return state, read_settings(folder) | {role: name for role, name in roles.items() if isinstance(name, str)}


def from_state(state: dict) -> Tokenizer:
    """The tokenizer of a state, with the ids that it states."""
    tokenizer = Tokenizer.from_str(json.dumps(state, ensure_ascii=False))
    added = {token["content"]: token["id"] for token in state["added_tokens"]}
    if any(tokenizer.token_to_id(name) != index for name, index in added.items()):
        # The library numbers added tokens by the count of tokens, unless the model has them too.
        model = {**state["model"], "vocab": state["model"]["vocab"] | added}
        tokenizer = Tokenizer.from_str(json.dumps({**state, "model": model}, ensure_ascii=False))
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, settings: dict, folder: Path) -> None:
    """Write a tokenizer folder that loads with `AutoTokenizer`; special roles come from `settings`."""
    tokenizer.save(str(folder / "tokenizer.json"))
    kept = ("bos_token", "eos_token", "unk_token", "pad_token", "model_max_length", "chat_template")
    named = {key: settings[key] for key in kept if settings.get(key) is not None}
    named |= {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    write_json(folder / "tokenizer_config.json", named)


def is_byte_level(state: dict) -> bool:
    """Whether a tokenizer is byte-level BPE (Llama 3), not SentencePiece-type BPE (Mistral)."""
    return '"ByteLevel"' in json.dumps([state.get(part) for part in ("normalizer", "pre_tokenizer", "decoder")])


def extend(state: dict, model: Path, literal_pieces: str = "drop", letter_merges: str = "first") -> tuple[dict, dict]:
    """The union of a tokenizer and a new SentencePiece BPE model (paper section 2.1.1, "Extended"), and its counts.

    Old tokens keep their ids, new ones get the next free ids, special tokens at the tail move after them. New merges
    come before old ones. Pieces that no merges can build are left out and counted, as are those that their
    own text does not give (`new_unreachable`), since the pre-tokenizer cuts it. For a byte-level vocabulary:

    - `literal_pieces`: "drop" leaves out `<unk>`, `<s>`, `</s>` and the byte pieces of the new model, which it does not
      need. "keep" adds them as ordinary tokens that no text produces, as in the published vocabularies.
    - `letter_merges`: the new model merges letters, not bytes. The merges of a letter's bytes come "first"; or
      "last", after old merges that join bytes of two letters, as in the published vocabularies. With "none" only old
      merges build letters of two bytes: one that they cannot build is only used for a word that is this letter alone.
    - the first bytes of a letter of three become a row, if no merges build the letter without (`letter_starts`)
    - marks of scripts that have their own (vowels in Devanagari) become a part of words (`keep_words_whole`)
    """
    pieces = read_pieces(model)
    merges = bpe_merges(pieces)
    texts = [piece for piece, _, _ in filter(is_text_piece, pieces)]
    literal: list[str] = []
    letters: list[tuple[str, str]] = []
    old = state["model"]["vocab"]
    old_merges = [tuple(merge) for merge in state["model"]["merges"]]
    # SentencePiece writes text, a byte-level vocabulary writes bytes: translate pieces and merges.
    if is_byte_level(state):
        if literal_pieces == "keep":
            literal = [piece[0] for piece in pieces if not is_text_piece(piece) and piece[0] not in old]
        texts, merges = [_byte_level(t) for t in texts], [(_byte_level(a), _byte_level(b)) for a, b in merges]
        letters = _letter_merges(texts)
        if scripts := marked_scripts(piece for piece, _, _ in pieces):
            state = {**state, "pre_tokenizer": keep_words_whole(state["pre_tokenizer"], scripts)}
    ordered = letters + merges + old_merges if letter_merges == "first" else merges + old_merges + letters
    starts = _letter_starts(letters, {*old, *texts}, ordered) if letters else []
    # As published, a letter of two bytes may lack its merge; text of longer ones could use no piece at all.
    long = _letter_merges([text for text in texts if len(text) > 2]) if letters else []
    used = merges + old_merges + long if letter_merges == "none" else ordered
    # New ids begin after the last ordinary token; special tokens after it move to the end.
    old_specials = special_names(state)
    first_free = 1 + max(index for token, index in old.items() if token not in old_specials)
    # Reachability is decided with the letter merges even for "none": its vocabulary has the same rows.
    single = {t for t in old if len(t) == 1} | _letters(texts, state)
    reachable = _reachable({*old, *texts, *starts}, ordered, single)
    brought = [text for text in dict.fromkeys(texts) if text not in old and text in reachable]
    new = literal + starts + brought
    vocabulary = {token: index for token, index in old.items() if token not in old_specials}
    vocabulary |= {token: first_free + offset for offset, token in enumerate(new)}
    # The library refuses a merge whose parts or product have no id.
    kept = [merge for merge in dict.fromkeys(used) if {*merge, "".join(merge)} <= vocabulary.keys()]
    state = {**state, "model": {**state["model"], "merges": [list(m) for m in kept], "ignore_merges": True}}
    _place_specials(state, vocabulary, first_free, first_free + len(new))
    view = ByteView(from_state(state))
    facts = {
        "new": len(brought),
        "new_unreachable": len({view.ids[text] for text in brought}.intersection(unreachable_rows(view))),
        "letter_starts": len(starts),
        "shared": sum(text in old for text in texts),
        "literal": len(literal),
        "left_out": sum(text not in old and text not in reachable for text in texts),
    }
    return state, facts


def _check_reach(original: Path, kind: str, facts: dict) -> None:
    wanted, used = facts["new"] + facts["left_out"], facts["new"] - facts["new_unreachable"]
    if 2 * used < wanted:
        raise UserError(
            f"vocabulary {kind} of {original}: text can use only {used} of {wanted} new pieces; no merges build "
            f"{facts['left_out']} of them, and the original's pre-tokenizer cuts {facts['new_unreachable']}. Use a "
            "vocabulary that replaces the original (bpe, unigram), or letter_merges: first if it is last "
            "(vocabulary.extended)"
        )


def shrink(state: dict, keep: int) -> dict:
    """Keep the `keep` tokens of lowest rank with their ids, and the merges whose parts and product are among them."""
    specials = special_names(state)
    ranked = sorted((index, token) for token, index in state["model"]["vocab"].items() if token not in specials)
    if keep > len(ranked):
        raise UserError(f"optimized_keep is {keep}, but the original vocabulary has only {len(ranked)} tokens")
    vocabulary = {token: index for index, token in ranked[:keep]}
    merges = [m for m in state["model"]["merges"] if {*m, "".join(m)} <= vocabulary.keys()]
    state = {**state, "model": {**state["model"], "merges": merges}}
    dropped = {token for _, token in ranked[keep:]}
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] not in dropped]
    end = 1 + max(vocabulary.values())
    _place_specials(state, vocabulary, end, end)
    return state


def special_names(state: dict) -> set[str]:
    """Tokens that no merges build: the unknown token, special ones, and added ones that are no ordinary piece too.

    Gemma lists its runs of spaces as added tokens, but they are ordinary pieces with merges.
    """
    ordinary, unknown = state["model"]["vocab"], state["model"].get("unk_token")
    names = {t["content"] for t in state["added_tokens"] if t["special"] or t["content"] not in ordinary}
    return names | ({unknown} if unknown in ordinary else set())


def _replacement(state: dict, settings: dict, model: Path, model_type: str) -> Tokenizer:
    tokenizer = to_fast_tokenizer(model, model_type)
    missing = [t["content"] for t in state["added_tokens"] if tokenizer.token_to_id(t["content"]) is None]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in missing])
    if bos := settings.get("bos_token"):
        set_bos(tokenizer, bos)
    else:  # the model was trained without one
        tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B:1", special_tokens=[])
    return tokenizer


def _place_specials(state: dict, vocabulary: dict[str, int], end: int, tail: int) -> None:
    """Set vocabulary and special tokens of `state`.

    Special tokens with ids below `end` keep them; the others get the ids from `tail` on, in their order.
    """
    old = state["model"]["vocab"]
    added = []
    for token in sorted(state["added_tokens"], key=lambda token: token["id"]):
        index = token["id"]
        if index >= end and token["content"] not in vocabulary:
            index, tail = tail, tail + 1
        added.append({**token, "id": index})
        if token["content"] in old:
            vocabulary[token["content"]] = index
    renumbered = {token["content"]: token["id"] for token in added}
    state["model"]["vocab"] = dict(sorted(vocabulary.items(), key=lambda item: item[1]))
    state["added_tokens"] = added
    for special in _template_tokens(state.get("post_processor") or {}):
        special["ids"] = [renumbered[name] for name in special["tokens"]]


def _template_tokens(processor: dict) -> list[dict]:
    nested = [token for part in processor.get("processors", []) for token in _template_tokens(part)]
    return nested + list((processor.get("special_tokens") or {}).values())


def _byte_level(piece: str) -> str:
    """A piece of a SentencePiece model as a byte-level vocabulary writes it."""
    return byte_string(piece.replace(SPACE, " ").encode())


def _letter_merges(texts: list[str]) -> list[tuple[str, str]]:
    """Merges that build each letter from its bytes, from the left; SentencePiece, with letters as units, has none."""
    letters = filter(_is_letter, texts)
    return list(dict.fromkeys((text[:end], text[end]) for text in letters for end in range(1, len(text))))


def _is_letter(text: str) -> bool:
    """Whether a token of a byte-level vocabulary is one character of two bytes, or a longer one that a script owns.

    Merges of dashes and quotes would cut the original's own text otherwise than before.
    """
    character = bytes_of(text).decode(errors="replace")
    return len(character) == 1 < len(text) and (len(text) == 2 or not is_shared(character))


def _letter_starts(letters: list[tuple[str, str]], known: set[str], merges: list[tuple[str, str]]) -> list[str]:
    """First bytes of letters of three and more that need a row, since no merges of known tokens build the letter."""
    built = _reachable(known, merges, {token for token in known if len(token) == 1})
    wanted = [left + right for left, right in letters]
    short = [token for token in wanted if token in known and token not in built]
    starts = (token[:end] for token in short for end in range(2, len(token)))
    return [start for start in dict.fromkeys(starts) if start not in known]


def _letters(texts: list[str], state: dict) -> set[str]:
    return set() if is_byte_level(state) else {text for text in texts if len(text) == 1}


def _reachable(vocabulary: set[str], merges: list[tuple[str, str]], single: set[str]) -> set[str]:
    """Tokens that some sequence of merges builds from the symbols `single`, with all its parts in `vocabulary`."""
    reached, products = set(single), {}
    for left, right in merges:
        products.setdefault(left + right, []).append((left, right))
    for token in sorted((t for t in vocabulary if t in products), key=len):
        if any(left in reached and right in reached for left, right in products[token]):
            reached.add(token)
    return reached
