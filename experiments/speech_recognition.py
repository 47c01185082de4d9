"""Speech recognition: single words by a classifier, strings and sentences by CTC.

    python -m experiments.speech_recognition                            # spoken characters
    python -m experiments.speech_recognition --predict=SOUND_OR_FOLDER  # by the model of that run
    python -m experiments.speech_recognition --dataset=FOLDER           # a folder per word
    python -m experiments.speech_recognition --dataset=FOLDER --join=3,7    # strings of its words
    python -m experiments.speech_recognition --dataset=MANIFEST --bidirectional=false
    python -m experiments.speech_recognition --dataset=MANIFEST --stream=SOUND

--dataset takes 'spoken_characters' (synthetic, one voice, joined to noisy strings; embedded), a
folder per word, files with FSDD's names, a manifest of JSON lines, or Kaldi's wav.scp and text.
"""

from dljax.apps.configs.speech_recognition import Config
from dljax.run.command_line import run_main


def main(config: Config) -> None:
    """What the command line does."""
    from dljax.apps import speech_recognition

    speech_recognition.run(config)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
