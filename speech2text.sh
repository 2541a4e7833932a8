#!/bin/sh
# The command of 2019 under its old name: ./speech2text.sh FILE...
here=$(dirname "$(readlink -f "$0")")
[ -x "$here/.venv/bin/ramospeech" ] && PATH=$here/.venv/bin:$PATH
exec ramospeech speech2text "$@"
