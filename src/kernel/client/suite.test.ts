import { startTestServer } from '../apiserver/testing.ts'
import { clientSuite } from './suite.ts'

clientSuite('local client', async () => {
  const server = await startTestServer()
  return { client: server.localClient, close: server.close }
})

clientSuite('remote client, over TLS', async () => {
  const server = await startTestServer()
  return { client: server.remoteClient, close: server.close }
})
