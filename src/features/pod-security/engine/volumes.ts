import type { Volume } from '../../../kernel/resources/kinds/pod/types.ts'
import { type Check, joinQuote, named, pluralize, sorted } from './check.ts'

const ALLOWED = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
]

/** In the order in which they are looked for; a volume that is none of them is called unknown. */
const RESTRICTED = [
  'hostPath',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'gitRepo',
  'nfs',
  'iscsi',
  'glusterfs',
  'rbd',
  'flexVolume',
  'cinder',
  'cephfs',
  'flocker',
  'fc',
  'azureFile',
  'vsphereVolume',
  'quobyte',
  'azureDisk',
  'photonPersistentDisk',
  'portworxVolume',
  'scaleIO',
  'storageos',
]

const has =
  (volume: Volume) =>
  (source: string): boolean =>
    volume[source] != null

/** Storage beside these types goes through a PersistentVolumeClaim. */
export const restrictedVolumes: Check = {
  id: 'restrictedVolumes',
  level: 'restricted',
  overrides: 'hostPathVolumes',
  versions: [
    {
      since: 0,
      check: ({ spec }) => {
        const bad = (spec.volumes ?? []).filter((volume) => !ALLOWED.some(has(volume)))
        if (bad.length === 0) return undefined
        const names = bad.map((volume) => volume.name ?? '')
        const types = sorted(bad.map((volume) => RESTRICTED.find(has(volume)) ?? 'unknown'))
        const uses = `${pluralize('uses', names.length, 'use')} ${pluralize('restricted volume type', types.length)}`
        return { reason: 'restricted volume types', detail: `${named('volume', names)} ${uses} ${joinQuote(types)}` }
      },
    },
  ],
}
