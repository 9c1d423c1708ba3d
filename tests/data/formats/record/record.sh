#!/bin/sh
# Record what loggers write: record.sh FOLDER, with FOLDER/py and FOLDER/js (see ../README.md).
set -eu
tools=$1
here=$(cd "$(dirname "$0")" && pwd)
out=$(dirname "$here")
work=$(mktemp -d /tmp/bot.XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir "$work/current"
cp "$here"/* "$work/current"
cd "$work/current"

# record NAME COMMAND...: an end with a fault belongs to some events
record() {
    name=$1
    shift
    timeout 60 "$@" >"$out/$name.txt" 2>&1 </dev/null || true
}

have() {
    command -v "$1" >/dev/null 2>&1
}

python=$tools/py/bin/python
export PYTHONDONTWRITEBYTECODE=1
if [ -x "$python" ]; then
    for name in $("$python" python_formats.py); do
        record "python_$name" "$python" python_formats.py "$name"
    done
fi
export NODE_PATH="$tools/js/node_modules"
if have node && [ -d "$NODE_PATH" ]; then
    for name in $(node node_formats.js); do
        case $name in
            unhandled_warning) record "node_$name" node --unhandled-rejections=warn node_formats.js "$name" ;;
            signale) FORCE_COLOR=0 record "node_$name" node node_formats.js "$name" ;;
            *) record "node_$name" node node_formats.js "$name" ;;
        esac
    done
fi
export GO111MODULE=off GOPATH=/usr/share/gocode
if have go && go build -o formats go_formats.go; then
    for name in $(./formats); do
        record "go_$name" ./formats "$name"
    done
fi
jars=/usr/share/java
api=.:$jars/log4j-api.jar:$jars/log4j-core.jar:$jars/slf4j-api.jar
if have javac && javac -cp "$api" Formats.java; then
    for name in jul jul_german jul_french jul_japanese log4j_default log4j_date log4j_brackets \
        log4j_spring uncaught; do
        record "java_$name" java -cp "$api" Formats "$name"
    done
    record java_logback java -cp "$api:$jars/logback-classic.jar:$jars/logback-core.jar" Formats logback
    record java_slf4j_simple java -cp "$api:$jars/slf4j-simple.jar" Formats slf4j_simple
fi
if have elixir; then
    for name in events genserver uncaught; do
        record "elixir_$name" elixir elixir_formats.exs "$name"
    done
fi
if have ruby; then
    record ruby_plain ruby ruby_formats.rb
    record ruby_named ruby ruby_formats.rb named
fi
if have php; then
    record php_monolog php php_formats.php monolog
    record php_error_log php php_formats.php plain
fi
