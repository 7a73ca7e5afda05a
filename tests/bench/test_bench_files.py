"""What `bench files` plays."""

from pathlib import Path

import soundfile

from roomtone.bench.load import files
from roomtone.engine.tapes import WHOLE_SECONDS


def test_one_prompt_for_all_is_kept_in_memory_and_a_file_for_each_is_not(tmp_path: Path) -> None:
    assert files.PROMPT_S <= WHOLE_SECONDS < files.LONG_S
    together = files.make_files(tmp_path, 3, distinct=False)
    assert len(together) == 3 and len(set(together)) == 1
    assert soundfile.info(together[0]).duration == files.PROMPT_S
    apart = files.make_files(tmp_path, 2, distinct=True)
    assert len(set(apart)) == 2
    assert [soundfile.info(path).duration for path in apart] == [files.LONG_S] * 2
