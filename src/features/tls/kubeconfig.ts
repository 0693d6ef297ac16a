export type KubeconfigOptions = {
  /** URL of the API server. */
  server: string
  /** PEM texts. */
  ca: string
  cert: string
  key: string
  clusterName: string
  /** Default `kubernetes-admin`. */
  userName?: string
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** A kubeconfig (v1 Config) as YAML, with everything inside: write it with mode 0600. JSON texts are YAML texts. */
export function kubeconfig(options: KubeconfigOptions): string {
  const { clusterName, userName = 'kubernetes-admin' } = options
  const text = (value: string): string => JSON.stringify(value)
  const context = `${userName}@${clusterName}`
  return [
    'apiVersion: v1',
    'kind: Config',
    'clusters:',
    `- name: ${text(clusterName)}`,
    '  cluster:',
    `    server: ${text(options.server)}`,
    `    certificate-authority-data: ${base64(options.ca)}`,
    'users:',
    `- name: ${text(userName)}`,
    '  user:',
    `    client-certificate-data: ${base64(options.cert)}`,
    `    client-key-data: ${base64(options.key)}`,
    'contexts:',
    `- name: ${text(context)}`,
    '  context:',
    `    cluster: ${text(clusterName)}`,
    `    user: ${text(userName)}`,
    `current-context: ${text(context)}`,
    'preferences: {}',
    '',
  ].join('\n')
}
