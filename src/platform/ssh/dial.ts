import { spawn } from 'node:child_process'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Opens the stream that SSH runs over; rejects when there is none within the time. */
export type Dial = (host: string, port: number, timeoutMs: number) => Promise<Duplex>

export const dialTcp: Dial = (host, port, timeoutMs) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true })
    const timer = setTimeout(() => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs)
    socket.once('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.removeAllListeners('error')
      resolve(socket)
    })
  })

/** Runs inside the namespace: connects, and hands the socket over. */
const CONNECTOR = `
const [host, port, timeout] = process.argv.slice(1)
const socket = require('node:net').connect({ host, port: Number(port), noDelay: true })
const fail = (reason) => process.send({ reason }, () => process.exit(1))
setTimeout(() => fail('no connection within ' + timeout + ' ms'), Number(timeout))
socket.once('error', (error) => fail(error.message))
socket.once('connect', () => { socket.pause(); process.send({}, socket, () => process.exit(0)) })
`

/** TCP from within another network namespace, named by a file such as /run/netns/NAME. Needs root. */
export function dialInNamespace(namespaceFile: string): Dial {
  return (host, port, timeoutMs) =>
    new Promise((resolve, reject) => {
      const child = spawn(
        'nsenter',
        [`--net=${namespaceFile}`, '--', process.execPath, '-e', CONNECTOR, host, String(port), String(timeoutMs)],
        { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] },
      )
      let complaint = ''
      child.stderr!.setEncoding('utf8').on('data', (text: string) => {
        complaint = (complaint + text).slice(0, 500)
      })
      const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs + 5000)
      child.once('error', reject)
      child.once('message', (message: { reason?: string }, socket: unknown) => {
        if (message.reason !== undefined) reject(new Error(message.reason))
        else resolve(socket as Socket)
      })
      child.once('close', () => {
        clearTimeout(timer)
        reject(new Error(`namespace ${namespaceFile}: ${complaint.trim() || 'the connection was not handed over'}`))
      })
    })
}
