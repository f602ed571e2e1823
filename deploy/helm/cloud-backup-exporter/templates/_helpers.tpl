{{/* Names. A Service's name may have 63 characters. */}}

{{- define "cloud-backup-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "cloud-backup-exporter.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* The headless Service of a StatefulSet. */}}
{{- define "cloud-backup-exporter.shardsName" -}}
{{- printf "%s-shards" (include "cloud-backup-exporter.fullname" . | trunc 56 | trimSuffix "-") }}
{{- end }}

{{/* What the pods are made by. Only a StatefulSet gives them ordinals. */}}
{{- define "cloud-backup-exporter.kind" -}}
{{- ternary "StatefulSet" "Deployment" .Values.sharding.enabled }}
{{- end }}

{{- define "cloud-backup-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "cloud-backup-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "cloud-backup-exporter.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Labels of every object; those of a test's pod differ in the component, so that no Service selects it. */}}
{{- define "cloud-backup-exporter.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "cloud-backup-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "cloud-backup-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "cloud-backup-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: exporter
{{- end }}

{{- define "cloud-backup-exporter.labels" -}}
{{ include "cloud-backup-exporter.commonLabels" . }}
app.kubernetes.io/component: exporter
{{- end }}

{{- define "cloud-backup-exporter.testLabels" -}}
{{ include "cloud-backup-exporter.commonLabels" . }}
app.kubernetes.io/component: test
{{- end }}

{{/* An image by repository, tag and digest. Expects a list: the image, the tag to fall back to. */}}
{{- define "cloud-backup-exporter.imageReference" -}}
{{- $image := index . 0 -}}
{{- $tag := $image.tag -}}
{{- if not (or $tag $image.digest) -}}
{{- $tag = index . 1 -}}
{{- end -}}
{{- $image.repository -}}
{{- with $tag }}:{{ . }}{{ end -}}
{{- with $image.digest }}@{{ . }}{{ end -}}
{{- end }}

{{- define "cloud-backup-exporter.image" -}}
{{- $_ := required "image.repository is not set: say where your image of the exporter is, such as registry.example.com/cloud-backup-exporter" .Values.image.repository -}}
{{- include "cloud-backup-exporter.imageReference" (list .Values.image .Chart.AppVersion) -}}
{{- end }}

{{/* Where things are in the container. Not one below the other: a mount below a read-only mount has no place to be. */}}
{{- define "cloud-backup-exporter.configFile" -}}
/etc/cloud-backup-exporter/config/exporter.yml
{{- end }}

{{- define "cloud-backup-exporter.webConfigFile" -}}
/etc/cloud-backup-exporter/web/web-config.yml
{{- end }}

{{- define "cloud-backup-exporter.storagePath" -}}
/var/lib/cloud-backup-exporter
{{- end }}

{{/* What a claim asks for. Nobody but the one pod that owns the file needs the volume. */}}
{{- define "cloud-backup-exporter.claimSpec" -}}
accessModes: [ReadWriteOnce]
{{- with .Values.persistence.storageClass }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests:
    storage: {{ .Values.persistence.size }}
{{- end }}

{{/* What contradicts itself, or would not do what it seems to say. The schema has judged each value alone. */}}
{{- define "cloud-backup-exporter.validate" -}}
{{- $existing := .Values.existingConfig -}}
{{- if and $existing.configMap $existing.secret -}}
{{- fail "existingConfig.configMap and existingConfig.secret are both set: only one of them can be the configuration" -}}
{{- end -}}
{{- if or $existing.configMap $existing.secret -}}
{{- if .Values.config -}}
{{- fail "config is set beside existingConfig, and would not be used" -}}
{{- end -}}
{{- else if not .Values.config.accounts -}}
{{- fail "config.accounts is empty: name at least one account, or the ConfigMap or Secret with the configuration in existingConfig" -}}
{{- end -}}
{{- if and .Values.sharding.enabled (gt (int .Values.replicaCount) 1000) -}}
{{- fail "sharding is enabled: replicaCount is more than the 1000 shards that the exporter allows" -}}
{{- end -}}
{{- with .Values.persistence -}}
{{- if and .existingClaim (not .enabled) -}}
{{- fail "persistence.existingClaim is set, but persistence is not enabled" -}}
{{- end -}}
{{- if and .existingClaim $.Values.sharding.enabled -}}
{{- fail "persistence.existingClaim is one volume, and each shard needs its own: leave it empty" -}}
{{- end -}}
{{- if and .enabled (not $.Values.sharding.enabled) (gt (int $.Values.replicaCount) 1) -}}
{{- fail "persistence is enabled: the replicas of a Deployment would share one file, which has one owner; set replicaCount to 1, or use sharding" -}}
{{- end -}}
{{- end -}}
{{- range $argument := .Values.extraArgs -}}
{{- if and $.Values.persistence.enabled (hasPrefix "--storage.path" $argument) -}}
{{- fail "extraArgs has --storage.path, which persistence sets: leave out one of them" -}}
{{- end -}}
{{- end -}}
{{- range $index, $account := .Values.config.accounts -}}
{{- range $key := list "access_key_secret" "security_token" -}}
{{- if hasKey (default dict $account.credentials) $key -}}
{{- fail (printf "config.accounts[%d].credentials.%s would be readable in a ConfigMap: put it into a Secret, name that in credentials, and use %s_file; or put the whole configuration into a Secret, and name that in existingConfig.secret" $index $key $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.webConfig -}}
{{- if .enabled -}}
{{- if and .content .existingSecret -}}
{{- fail "webConfig.content and webConfig.existingSecret are both set: only one of them can be the file" -}}
{{- end -}}
{{- if not (or .content .existingSecret) -}}
{{- fail "webConfig is enabled, but neither webConfig.content nor webConfig.existingSecret is set" -}}
{{- end -}}
{{- if and .content (ne (eq .scheme "https") (hasKey .content "tls_server_config")) -}}
{{- fail (printf "webConfig.scheme is %s, but webConfig.content %s tls_server_config" .scheme (ternary "has" "has no" (hasKey .content "tls_server_config"))) -}}
{{- end -}}
{{- if and (hasKey .content "basic_auth_users") (eq $.Values.probes.handler "httpGet") (not $.Values.probes.httpHeaders) -}}
{{- fail "webConfig.content has basic_auth_users: the kubelet needs an Authorization in probes.httpHeaders, or probes.handler tcpSocket" -}}
{{- end -}}
{{- else if eq .scheme "https" -}}
{{- fail "webConfig.scheme is https, but webConfig is not enabled" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (eq .Values.webConfig.scheme "https") (not .Values.serviceMonitor.tlsConfig) -}}
{{- fail "webConfig.scheme is https: serviceMonitor.tlsConfig has to say how the certificate is checked" -}}
{{- end -}}
{{- with .Values.workloadIdentity.alibaba -}}
{{- if .enabled -}}
{{- $_ := required "workloadIdentity.alibaba.roleArn is not set" .roleArn -}}
{{- $_ := required "workloadIdentity.alibaba.oidcProviderArn is not set" .oidcProviderArn -}}
{{- if and .vpcEndpoint (not .stsRegion) -}}
{{- fail "workloadIdentity.alibaba.vpcEndpoint needs stsRegion: only regions have such an address" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.workloadIdentity.huawei -}}
{{- if .enabled -}}
{{- $_ := required "workloadIdentity.huawei.audience is not set" .audience -}}
{{- if eq .method "identityProvider" -}}
{{- $_ := required "workloadIdentity.huawei.identityProvider.id is not set" .identityProvider.id -}}
{{- else if eq .method "tokenService" -}}
{{- $_ := required "workloadIdentity.huawei.tokenService.providerUrn is not set" .tokenService.providerUrn -}}
{{- $_ := required "workloadIdentity.huawei.tokenService.agencyUrn is not set" .tokenService.agencyUrn -}}
{{- else -}}
{{- $_ := required "workloadIdentity.huawei.podIdentity.credentialsUri is not set" .podIdentity.credentialsUri -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.workloadIdentity.volcengine -}}
{{- if .enabled -}}
{{- $_ := required "workloadIdentity.volcengine.roleTrn is not set" .roleTrn -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The tokens of the service account, by vendor: where they are mounted is what the vendors' own webhooks use, where they have one. */}}
{{- define "cloud-backup-exporter.tokens" -}}
{{- $directories := dict
      "alibaba" "/var/run/secrets/ack.alibabacloud.com/rrsa-tokens"
      "huawei" "/var/run/secrets/huaweicloud/tokens"
      "volcengine" "/var/run/secrets/vke.volcengine.com/irsa-tokens" -}}
{{- $tokens := list -}}
{{- range $vendor, $directory := $directories -}}
{{- $identity := index $.Values.workloadIdentity $vendor -}}
{{- if $identity.enabled -}}
{{- $tokens = append $tokens (dict "vendor" $vendor "directory" $directory "audience" $identity.audience "expirationSeconds" (int $identity.expirationSeconds)) -}}
{{- end -}}
{{- end -}}
{{- dict "tokens" $tokens | toYaml -}}
{{- end }}

{{/* The environment of the exporter, and of the test that reads its configuration. */}}
{{- define "cloud-backup-exporter.env" -}}
{{- $file := dict -}}
{{- range (include "cloud-backup-exporter.tokens" . | fromYaml).tokens -}}
{{- $_ := set $file .vendor (printf "%s/token" .directory) -}}
{{- end -}}
{{- $env := list -}}
{{- /* Its ordinal is the index of the shard. The name of the host would be cut off after 63 characters. */}}
{{- if .Values.sharding.enabled -}}
{{- $env = append $env (dict "name" "POD_NAME" "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.name"))) -}}
{{- end -}}
{{- with .Values.workloadIdentity.alibaba -}}
{{- if .enabled -}}
{{- $env = append $env (dict "name" "ALIBABA_CLOUD_ROLE_ARN" "value" .roleArn) -}}
{{- $env = append $env (dict "name" "ALIBABA_CLOUD_OIDC_PROVIDER_ARN" "value" .oidcProviderArn) -}}
{{- $env = append $env (dict "name" "ALIBABA_CLOUD_OIDC_TOKEN_FILE" "value" $file.alibaba) -}}
{{- with .stsRegion -}}
{{- $env = append $env (dict "name" "ALIBABA_CLOUD_STS_REGION" "value" .) -}}
{{- end -}}
{{- if .vpcEndpoint -}}
{{- $env = append $env (dict "name" "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED" "value" "true") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.workloadIdentity.huawei -}}
{{- if not .enabled -}}
{{- else if eq .method "identityProvider" -}}
{{- $env = append $env (dict "name" "HUAWEICLOUD_SDK_IDP_ID" "value" .identityProvider.id) -}}
{{- $env = append $env (dict "name" "HUAWEICLOUD_SDK_ID_TOKEN_FILE" "value" $file.huawei) -}}
{{- with .identityProvider.iamEndpoint -}}
{{- $env = append $env (dict "name" "HUAWEICLOUD_SDK_IAM_ENDPOINT" "value" .) -}}
{{- end -}}
{{- else if eq .method "tokenService" -}}
{{- $env = append $env (dict "name" "HUAWEICLOUD_OIDC_PROVIDER_URN" "value" .tokenService.providerUrn) -}}
{{- $env = append $env (dict "name" "HUAWEICLOUD_OIDC_AGENCY_URN" "value" .tokenService.agencyUrn) -}}
{{- $env = append $env (dict "name" "HUAWEICLOUD_OIDC_TOKEN_FILE" "value" $file.huawei) -}}
{{- with .tokenService.stsEndpoint -}}
{{- $env = append $env (dict "name" "HUAWEICLOUD_SDK_STS_ENDPOINT" "value" .) -}}
{{- end -}}
{{- else -}}
{{- $env = append $env (dict "name" "HC_CONTAINER_CREDENTIALS_FULL_URI" "value" .podIdentity.credentialsUri) -}}
{{- $env = append $env (dict "name" "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE" "value" $file.huawei) -}}
{{- end -}}
{{- end -}}
{{- with .Values.workloadIdentity.volcengine -}}
{{- if .enabled -}}
{{- $env = append $env (dict "name" "VOLCENGINE_OIDC_ROLE_TRN" "value" .roleTrn) -}}
{{- $env = append $env (dict "name" "VOLCENGINE_OIDC_TOKEN_FILE" "value" $file.volcengine) -}}
{{- end -}}
{{- end -}}
{{- with concat $env .Values.extraEnv -}}
env:
  {{- toYaml . | nindent 2 }}
{{ end -}}
{{- with .Values.extraEnvFrom -}}
envFrom:
  {{- toYaml . | nindent 2 }}
{{ end -}}
{{- end }}

{{/* None is mounted by `subPath`: such a file would not follow a change of its ConfigMap or Secret. */}}
{{- define "cloud-backup-exporter.volumeMounts" -}}
- name: config
  mountPath: {{ include "cloud-backup-exporter.configFile" . | dir }}
  readOnly: true
{{- range $name, $_ := .Values.credentials }}
- name: credentials-{{ $name }}
  mountPath: /etc/cloud-backup-exporter/credentials/{{ $name }}
  readOnly: true
{{- end }}
{{- range (include "cloud-backup-exporter.tokens" . | fromYaml).tokens }}
- name: token-{{ .vendor }}
  mountPath: {{ .directory }}
  readOnly: true
{{- end }}
{{- if .Values.webConfig.enabled }}
- name: web-config
  mountPath: {{ include "cloud-backup-exporter.webConfigFile" . | dir }}
  readOnly: true
{{- with .Values.webConfig.tlsSecret }}
- name: tls
  mountPath: /etc/cloud-backup-exporter/tls
  readOnly: true
{{- end }}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Secrets are for the group of the pod, `fsGroup`; without one the files would have to be readable for everybody. */}}
{{- define "cloud-backup-exporter.volumes" -}}
{{- $mode := ternary 0440 0444 (hasKey .Values.podSecurityContext "fsGroup") -}}
- name: config
{{- with .Values.existingConfig }}
{{- if .secret }}
  secret:
    secretName: {{ .secret }}
    defaultMode: {{ $mode }}
    items:
      - key: {{ .key | quote }}
        path: exporter.yml
{{- else }}
  configMap:
    name: {{ default (include "cloud-backup-exporter.fullname" $) .configMap }}
    items:
      - key: {{ ternary .key "exporter.yml" (not (empty .configMap)) | quote }}
        path: exporter.yml
{{- end }}
{{- end }}
{{- range $name, $credentials := .Values.credentials }}
- name: credentials-{{ $name }}
  secret:
    secretName: {{ $credentials.secretName }}
    defaultMode: {{ $mode }}
    {{- with $credentials.items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- range (include "cloud-backup-exporter.tokens" . | fromYaml).tokens }}
- name: token-{{ .vendor }}
  projected:
    defaultMode: {{ $mode }}
    sources:
      - serviceAccountToken:
          audience: {{ .audience | quote }}
          expirationSeconds: {{ .expirationSeconds }}
          path: token
{{- end }}
{{- with .Values.webConfig }}
{{- if .enabled }}
- name: web-config
  secret:
    secretName: {{ default (printf "%s-web-config" (include "cloud-backup-exporter.fullname" $)) .existingSecret }}
    defaultMode: {{ $mode }}
    items:
      - key: {{ ternary .existingSecretKey "web-config.yml" (not (empty .existingSecret)) | quote }}
        path: web-config.yml
{{- with .tlsSecret }}
- name: tls
  secret:
    secretName: {{ . }}
    defaultMode: {{ $mode }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* A probe. Expects a list: the root, the path, the timing. */}}
{{- define "cloud-backup-exporter.probe" -}}
{{- $root := index . 0 -}}
{{- if eq $root.Values.probes.handler "tcpSocket" }}
tcpSocket:
  port: metrics
{{- else }}
httpGet:
  path: {{ index . 1 }}
  port: metrics
  scheme: {{ $root.Values.webConfig.scheme | upper }}
  {{- with $root.Values.probes.httpHeaders }}
  httpHeaders:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{ toYaml (index . 2) }}
{{- end }}

{{/* The job that Prometheus gives to what the ServiceMonitor selects, unless `jobLabel` or a relabeling changes it. */}}
{{- define "cloud-backup-exporter.job" -}}
{{- default (include "cloud-backup-exporter.fullname" .) .Values.prometheusRule.job }}
{{- end }}
