import yaml
from hypothesis import given
from hypothesis import strategies as st

from hpc_qa.strict_yaml import parse

# control characters and exotic line ends are the emitter's affair
words = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | words
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(st.text("abcdefgh", min_size=1), trees, min_size=1, max_size=4))
def test_what_a_program_dumped_is_read_back_unchanged_or_refused(data):
    class NoAliases(yaml.SafeDumper):
        def ignore_aliases(self, _data):
            return True

    found = parse(yaml.dump(data, Dumper=NoAliases, allow_unicode=True))
    assert found.faults or found.data == data


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_raise(text):
    found = parse(text)
    assert found.faults or found.data or text.strip().strip("{}") == ""
