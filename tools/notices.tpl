{{ range . }}
## {{ .Name }} {{ .Version }}

{{ .LicenseName }}

```text
{{ .LicenseText }}
```
{{ end -}}
