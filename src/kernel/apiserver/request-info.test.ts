import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../api/status.ts'
import { parseRequest } from './request-info.ts'

type Row = [method: string, url: string, expected: Record<string, unknown>]

const resource = (verb: string, fields: Record<string, unknown>): Record<string, unknown> => ({
  isResource: true,
  verb,
  group: '',
  version: 'v1',
  namespace: '',
  resource: '',
  subresource: '',
  name: '',
  ...fields,
})

const ROWS: Row[] = [
  ['GET', '/api/v1/namespaces', resource('list', { resource: 'namespaces' })],
  ['GET', '/api/v1/namespaces/a', resource('get', { resource: 'namespaces', namespace: 'a', name: 'a' })],
  [
    'PUT',
    '/api/v1/namespaces/a/finalize',
    resource('update', { resource: 'namespaces', namespace: 'a', name: 'a', subresource: 'finalize' }),
  ],
  ['GET', '/api/v1/namespaces/a/pods', resource('list', { resource: 'pods', namespace: 'a' })],
  ['GET', '/api/v1/namespaces/a/pods?watch=1', resource('watch', { resource: 'pods', namespace: 'a' })],
  ['GET', '/api/v1/namespaces/a/pods?watch=false', resource('list', { resource: 'pods', namespace: 'a' })],
  ['GET', '/api/v1/watch/namespaces/a/pods', resource('watch', { resource: 'pods', namespace: 'a' })],
  ['DELETE', '/api/v1/namespaces/a/pods', resource('deletecollection', { resource: 'pods', namespace: 'a' })],
  ['DELETE', '/api/v1/namespaces/a/pods/p', resource('delete', { resource: 'pods', namespace: 'a', name: 'p' })],
  [
    'POST',
    '/api/v1/namespaces/a/serviceaccounts/s/token',
    resource('create', { resource: 'serviceaccounts', namespace: 'a', name: 's', subresource: 'token' }),
  ],
  [
    'GET',
    '/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node',
    resource('get', { group: 'rbac.authorization.k8s.io', resource: 'clusterroles', name: 'system:node' }),
  ],
  [
    'GET',
    '/apis/rbac.authorization.k8s.io/v1/clusterroles/a%3Ab',
    resource('get', { group: 'rbac.authorization.k8s.io', resource: 'clusterroles', name: 'a:b' }),
  ],
  ['GET', '/apis', { isResource: false, verb: 'get' }],
  ['GET', '/apis/apps/v1', { isResource: false, verb: 'get' }],
  ['GET', '/version', { isResource: false, verb: 'get' }],
]

for (const [method, url, expected] of ROWS)
  test(`${method} ${url}`, () => {
    const { path: _path, query: _query, ...info } = parseRequest(method, url) as Record<string, unknown>
    delete info['rest']
    assert.deepEqual(info, expected)
  })

const REFUSED = [
  '/api/v1/namespaces/../secrets',
  '/api/v1/namespaces/%2e%2e/secrets',
  '/api/v1/namespaces/a%2Fb/secrets',
  '/api/v1/namespaces/a%00b/secrets',
  '/api/v1/namespaces//secrets',
  '/api/v1/namespaces/%zz/secrets',
  'http://elsewhere/api/v1',
]

for (const url of REFUSED)
  test(`refuses ${url}`, () => {
    assert.throws(
      () => parseRequest('GET', url),
      (error: unknown) => error instanceof ApiError && error.code === 400,
    )
  })
