#!/bin/sh
# Fetches the libraries of package.json from npm and writes the *.min.js beside this file: d3-array and d3-contour as
# they come, the others as bundles of what the pages use. Needs Node.js.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/package.json" "$here/package-lock.json" "$here"/*.mjs "$work"
cd "$work"
npm ci --silent --no-audit --no-fund
for name in d3-array d3-contour; do cp "node_modules/$name/dist/$name.min.js" "$here"; done
bundle() { # entry, name of its global, whose it is
  npx esbuild "$1.mjs" --bundle --minify --format=iife --target=es2022 --global-name="$2" \
    '--define:process.env.NODE_ENV="production"' --log-level=warning "--banner:js=/* $3 */" \
    --outfile="$here/$1.min.js"
}
bundle chart d3 'D3: d3-scale, d3-selection and what they use; Copyright 2010-2026 Mike Bostock; ISC'
bundle table tanstack 'TanStack Table, Virtual, Store; Copyright (c) 2016-present Tanner Linsley; MIT'
