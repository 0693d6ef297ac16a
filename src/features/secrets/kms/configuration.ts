/** What an API server needs to use a plugin for Secrets: Kubernetes' EncryptionConfiguration, as YAML. */
export function encryptionConfiguration(plugin: { name: string; endpoint: string; timeoutMs: number }): string {
  return `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: ['secrets']
    providers:
      - kms:
          apiVersion: v2
          name: ${JSON.stringify(plugin.name)}
          endpoint: ${JSON.stringify(plugin.endpoint)}
          timeout: ${plugin.timeoutMs}ms
      # Reads what was written before; take it out when everything has been rewritten.
      - identity: {}
`
}
