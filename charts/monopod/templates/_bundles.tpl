{{/* The bundles that the components name, each once, as a JSON array. */}}
{{- define "monopod.bundles" -}}
{{- $names := list -}}
{{- range .Values.config.components -}}{{- $names = append $names .bundle -}}{{- end -}}
{{- $names | uniq | sortAlpha | toJson -}}
{{- end -}}

{{- define "monopod.bundle.volume" -}}
bundle-{{ . | lower | replace "." "-" | replace "_" "-" | replace "/" "-" | trunc 56 | trimSuffix "-" }}
{{- end -}}
