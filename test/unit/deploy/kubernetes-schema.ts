import { StatefulSet } from 'kubernetes-models/apps/v1/StatefulSet'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget'
import { PersistentVolume } from 'kubernetes-models/v1/PersistentVolume'
import { PersistentVolumeClaim } from 'kubernetes-models/v1/PersistentVolumeClaim'
import { Pod } from 'kubernetes-models/v1/Pod'
import { Secret } from 'kubernetes-models/v1/Secret'
import { Service } from 'kubernetes-models/v1/Service'

/** Validators that the package has made of the Kubernetes API's own OpenAPI schemas. */
const KINDS = {
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  Secret,
  Service,
  StatefulSet,
}

/**
 * Throws when an object is not what the Kubernetes API takes. A field that the schema never looks at is one that it
 * does not know: the API server warns of those, or refuses them.
 */
export function checkKubernetesObject(object: unknown): void {
  const { kind } = object as { kind: keyof typeof KINDS }
  if (!Object.hasOwn(KINDS, kind)) throw new Error(`no schema for ${kind}`)
  const unseen = new Set<string>()
  const Kind = KINDS[kind] as unknown as {
    prototype: { validate(): void }
  }
  Kind.prototype.validate.call(watched(object, '', unseen))
  if (unseen.size > 0) throw new Error(`unknown: ${[...unseen].join(', ')}`)
}

/** The same object; `unseen` loses each field that is read. */
function watched(value: unknown, path: string, unseen: Set<string>): unknown {
  if (typeof value !== 'object' || value === null) return value
  const copy: Record<string | number, unknown> | unknown[] = Array.isArray(value) ? [] : {}
  for (const [key, inner] of Object.entries(value)) {
    const at = `${path}/${key}`
    const child = watched(inner, at, unseen)
    unseen.add(at)
    Object.defineProperty(copy, key, {
      enumerable: true,
      get: () => {
        unseen.delete(at)
        return child
      },
    })
  }
  return copy
}
