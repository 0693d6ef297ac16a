import { badRequest, type FieldError, fieldError, invalid } from '../../api/status.ts'
import { isTrue } from '../request-info.ts'

/** PodExecOptions and PodAttachOptions, as far as the kubelet is told them. */
export type StreamOptions = { stdin: boolean; stdout: boolean; stderr: boolean; tty: boolean }

export function streamOptions(query: URLSearchParams): StreamOptions {
  // Kubernetes defaults both outputs to true; a client that says no to one opens no stream for it.
  const output = (name: string): boolean => !query.has(name) || isTrue(query.get(name))
  const tty = isTrue(query.get('tty'))
  const options = { stdin: isTrue(query.get('stdin')), stdout: output('stdout'), stderr: output('stderr') && !tty, tty }
  if (!options.stdin && !options.stdout && !options.stderr)
    throw badRequest('you must specify at least 1 of stdin, stdout, stderr')
  return options
}

/** Query of the kubelet's /exec and /attach. */
export function streamQuery(options: StreamOptions, command: readonly string[]): string {
  const out = new URLSearchParams()
  if (options.stdin) out.set('input', '1')
  if (options.stdout) out.set('output', '1')
  if (options.stderr) out.set('error', '1')
  if (options.tty) out.set('tty', '1')
  for (const word of command) out.append('command', word)
  return out.toString()
}

const INTEGERS = { tailLines: 0, limitBytes: 1, sinceSeconds: 1 } as const

/** Query of the kubelet's /containerLogs from that of pods/log, checked as Kubernetes checks PodLogOptions. */
export function logQuery(query: URLSearchParams, pod: string): string {
  const out = new URLSearchParams()
  const errors: FieldError[] = []
  if (isTrue(query.get('insecureSkipTLSVerifyBackend')))
    throw badRequest('insecureSkipTLSVerifyBackend is not supported: kubelets are always verified')
  for (const name of ['follow', 'previous', 'timestamps']) if (isTrue(query.get(name))) out.set(name, 'true')
  for (const [name, least] of Object.entries(INTEGERS)) {
    const text = query.get(name)
    if (text === null || text === '') continue
    if (!/^-?\d{1,15}$/.test(text)) throw badRequest(`${name} must be an integer, not ${JSON.stringify(text)}`)
    if (Number(text) < least)
      errors.push(fieldError.invalid(name, Number(text), `must be greater than ${least === 0 ? 'or equal to ' : ''}0`))
    out.set(name, text)
  }
  const sinceTime = query.get('sinceTime')
  if (sinceTime) {
    if (Number.isNaN(Date.parse(sinceTime))) throw badRequest(`sinceTime must be a time of RFC 3339`)
    if (out.has('sinceSeconds'))
      errors.push(fieldError.forbidden('', 'at most one of `sinceTime` or `sinceSeconds` may be specified'))
    out.set('sinceTime', sinceTime)
  }
  const stream = query.get('stream')
  if (stream) {
    const streams = ['All', 'Stdout', 'Stderr']
    if (!streams.includes(stream)) errors.push(fieldError.notSupported('stream', stream, streams))
    else if (stream !== 'All' && out.has('tailLines'))
      errors.push(fieldError.forbidden('', '`tailLines` and specific `stream` are mutually exclusive for now'))
    out.set('stream', stream)
  }
  if (errors.length > 0) throw invalid('', 'PodLogOptions', pod, errors)
  return out.toString()
}
