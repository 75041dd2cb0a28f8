# Builds a small site and prints a sum of each of its files.
set -eu
dir=$(mktemp -d)
cd "$dir"
mkdir -p site/layouts/_default site/layouts/shortcodes site/content/posts site/static site/assets
cd site
cat >config.toml <<'END'
baseURL = "http://example.org/"
title = "A site"
timeZone = "UTC"
disableHugoGeneratorInject = true
[taxonomies]
  tag = "tags"
END
cat >layouts/_default/baseof.html <<'END'
<!doctype html><title>{{ .Title }}</title>
{{ with resources.Get "style.css" | minify | fingerprint }}<link href="{{ .RelPermalink }}">{{ end }}
{{ block "main" . }}{{ end }}
END
cat >layouts/_default/list.html <<'END'
{{ define "main" }}<ul>{{ range .Pages }}<li>{{ .Title }} {{ .Date.Format "2006-01-02" }}
{{ .WordCount }}</li>{{ end }}</ul>{{ end }}
END
cat >layouts/_default/single.html <<'END'
{{ define "main" }}{{ .Content }}{{ range .Params.tags }}<i>{{ . }}</i>{{ end }}
{{ with .NextInSection }}{{ .RelPermalink }}{{ end }}{{ end }}
END
echo '<b>{{ .Get 0 | upper }}</b>' >layouts/shortcodes/loud.html
printf 'body {\n  color: red;\n}\n' >assets/style.css
head -c 100000 /usr/bin/env >static/data
for n in $(seq 60); do
    cat >"content/posts/post-$n.md" <<END
---
title: "Post $n"
date: 2024-01-$((n % 28 + 1))T00:00:00Z
tags: [tag$((n % 7)), all]
---
# Heading $n
Some *text* with a [link](/posts/post-$((n % 60 + 1))/) and {{< loud "words" >}}.

| a | b |
|---|---|
| $n | $((n * n)) |

\`\`\`go
func main() { println($n) }
\`\`\`
END
done
hugo --quiet --destination "$dir/public"
cd "$dir/public"
find . -type f | sort | xargs md5sum
hugo list all --source "$dir/site" | wc -l
rm -r "$dir"
