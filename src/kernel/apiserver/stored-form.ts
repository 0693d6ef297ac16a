import { apiVersionOf, type KubeObject } from '../api/object.ts'
import type { CustomCodec } from '../resources/custom/index.ts'
import type { ResourceDefinition } from '../resources/definition.ts'
import type { Entry } from './cache/entry.ts'
import type { Kind } from './kind.ts'

type StoredForm = Pick<Kind, 'read' | 'view' | 'bytes' | 'toStored'>

/**
 * How objects of a kind come out of the store. Most are shown as they lie there; custom ones are pruned and defaulted
 * by the schema of today in the version that was asked for, views are converted.
 */
export function storedForm(
  definition: ResourceDefinition,
  apiVersion: string,
  custom: CustomCodec | undefined,
): StoredForm {
  const { view } = definition
  if (view !== undefined) return { ...converted(view.fromStored), toStored: view.toStored }
  if (custom !== undefined) {
    const stored = apiVersionOf(definition.group, definition.storageVersion ?? definition.version)
    const conform = (object: KubeObject): KubeObject => {
      object.apiVersion = apiVersion
      custom.conform(object)
      custom.applyDefaults(object)
      return object
    }
    return { ...converted(conform), toStored: (object) => Object.assign(object, { apiVersion: stored }) }
  }
  return {
    read: (entry) => entry.copy(),
    view: (entry) => entry.shared(),
    bytes: (entry) => entry.bytes,
    toStored: (object) => object,
  }
}

function converted(convert: (object: KubeObject) => KubeObject): Omit<StoredForm, 'toStored'> {
  const serialised = new WeakMap<Entry, Buffer>()
  const read = (entry: Entry): KubeObject => convert(entry.copy())
  return {
    read,
    view: read,
    bytes: (entry) => {
      let bytes = serialised.get(entry)
      if (bytes === undefined) {
        bytes = Buffer.from(JSON.stringify(read(entry)))
        // What conversion leaves as it is need not be kept twice.
        if (bytes.equals(entry.bytes)) bytes = entry.bytes
        serialised.set(entry, bytes)
      }
      return bytes
    },
  }
}
