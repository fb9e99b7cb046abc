{{- /* What does not fit together, all of it at once, before anything is installed. */ -}}
{{- define "runegate.refuse" -}}
{{- $options := .Values.options -}}
{{- $data := .Values.secrets.data -}}
{{- $problems := list -}}

{{- if not .Values.image.repository -}}
{{- $problems = append $problems "image.repository is not set: push the image of deploy/Dockerfile to a registry of yours, and name it" -}}
{{- end -}}

{{- if not (regexMatch "^https://[^/?#@]+/?$" (index $options "RUNEGATE_BASE_URL" | default "")) -}}
{{- $problems = append $problems "options.RUNEGATE_BASE_URL must be what people type: https, a host, and no path" -}}
{{- end -}}

{{- $routed := or .Values.routes.toml .Values.routes.inSecret -}}
{{- if not $routed -}}
{{- if not (index $options "RUNEGATE_TARGET_SERVICE") -}}
{{- $problems = append $problems "options.RUNEGATE_TARGET_SERVICE is not set, and there are no routes: http:// and the application's Service" -}}
{{- end -}}
{{- $allowed := or (index $options "RUNEGATE_ALLOWED_EMAILS") (index $options "RUNEGATE_ALLOWED_DOMAINS") (index $options "RUNEGATE_ALLOW_ANY_EMAIL") -}}
{{- if not $allowed -}}
{{- $problems = append $problems "nobody may sign in: set options.RUNEGATE_ALLOWED_EMAILS or options.RUNEGATE_ALLOWED_DOMAINS" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.routes.toml .Values.routes.inSecret -}}
{{- $problems = append $problems "routes.toml and routes.inSecret exclude each other" -}}
{{- end -}}

{{- if not (hasKey $options "RUNEGATE_TRUSTED_PROXIES") -}}
{{- $problems = append $problems "options.RUNEGATE_TRUSTED_PROXIES is not set: the network that the ingress's requests come from, such as 10.244.0.0/16; without it all visitors share one address and one rate limit" -}}
{{- else if regexMatch "/0+ *(,|$)" (index $options "RUNEGATE_TRUSTED_PROXIES") -}}
{{- $problems = append $problems "options.RUNEGATE_TRUSTED_PROXIES believes everybody: any visitor could claim any address. Name the ingress's network alone" -}}
{{- end -}}

{{- $shared := has .Values.store.type (list "valkey" "postgres") -}}
{{- if and (gt (int .Values.replicas) 1) (not $shared) -}}
{{- $problems = append $problems (printf "replicas is %d, and store.type %s is not shared by several: a session of one would be none at the next. Use store.type: valkey or postgres, or one replica" (int .Values.replicas) .Values.store.type) -}}
{{- end -}}
{{- if and .Values.valkey.enabled (ne .Values.store.type "valkey") -}}
{{- $problems = append $problems "valkey.enabled takes store.type: valkey" -}}
{{- end -}}

{{- if and .Values.secrets.existingSecret $data -}}
{{- $problems = append $problems "secrets.existingSecret and secrets.data exclude each other" -}}
{{- else if $data -}}
{{- if lt (len (index $data "jwt-secret" | default "")) 32 -}}
{{- $problems = append $problems "secrets.data.jwt-secret must have 32 bytes or more" -}}
{{- end -}}
{{- if lt (len (index $data "session-key" | default "")) 64 -}}
{{- $problems = append $problems "secrets.data.session-key must have 64 bytes or more" -}}
{{- end -}}
{{- if not (index $data "email.toml") -}}
{{- $problems = append $problems "secrets.data has no email.toml" -}}
{{- end -}}
{{- if and .Values.routes.inSecret (not (index $data "routes.toml")) -}}
{{- $problems = append $problems "secrets.data has no routes.toml" -}}
{{- end -}}
{{- if and .Values.valkey.enabled (not (regexMatch "^[0-9A-Za-z]{16,}$" (index $data "valkey-password" | default ""))) -}}
{{- $problems = append $problems "secrets.data.valkey-password must be 16 letters and digits or more" -}}
{{- end -}}
{{- if and (eq .Values.store.type "postgres") (not (regexMatch "^postgres(ql)?://" (index $data "store" | default ""))) -}}
{{- $problems = append $problems "secrets.data.store must be postgres://user:password@host:5432/database" -}}
{{- end -}}
{{- if and (eq .Values.store.type "valkey") (not .Values.valkey.enabled) (not (regexMatch "^(valkey|redis)s?://" (index $data "store" | default ""))) -}}
{{- $problems = append $problems "secrets.data.store must be valkey://user:password@host:6379/0; or set valkey.enabled" -}}
{{- end -}}
{{- else if not .Values.secrets.existingSecret -}}
{{- $problems = append $problems "secrets.existingSecret is not set: values.yaml says which keys the Secret has, and deploy/README.md how to make one" -}}
{{- end -}}

{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.from) -}}
{{- $problems = append $problems "networkPolicy.from is empty, so nobody would get in: say where the ingress is, or set networkPolicy.enabled: false" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- $problems = append $problems "httpRoute.parentRefs must name your Gateway" -}}
{{- end -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) (add (int .Values.preStopSeconds) 12) -}}
{{- $problems = append $problems (printf "terminationGracePeriodSeconds must be %d or more: preStopSeconds, 10 for requests under way, and 2" (add (int .Values.preStopSeconds) 12)) -}}
{{- end -}}

{{- if $problems -}}
{{- fail (printf "\n\n- %s\n" (join "\n- " $problems)) -}}
{{- end -}}
{{- end -}}
