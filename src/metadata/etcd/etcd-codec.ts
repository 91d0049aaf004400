import type { ICompare, IKeyValue, IRequestOp } from 'etcd3'
import type { Compare, KeyValue, Operation, WatchEvent } from '../metadata-store.ts'

/** Our keys under a prefix of their own in an etcd that others may use too. */
export class EtcdKeys {
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  encode(key: string): Buffer {
    return Buffer.from(this.#prefix + key)
  }

  decode(key: Buffer): string {
    return key.toString().slice(this.#prefix.length)
  }

  /** The half-open range of all keys with this prefix. */
  range(prefix: string): { key: Buffer; range_end: Buffer } {
    const key = this.encode(prefix)
    const end = Buffer.from(key)
    // UTF-8 never has a byte 0xff, so the last byte can always be raised.
    end[end.length - 1]! += 1
    return { key, range_end: end }
  }

  entry(kv: IKeyValue): KeyValue {
    return {
      key: this.decode(kv.key),
      value: kv.value,
      createRevision: BigInt(kv.create_revision),
      modRevision: BigInt(kv.mod_revision),
      version: BigInt(kv.version),
      lease: BigInt(kv.lease),
    }
  }

  event(event: { readonly type: 'Put' | 'Delete'; readonly kv: IKeyValue }): WatchEvent {
    if (event.type === 'Put') return { type: 'put', entry: this.entry(event.kv) }
    return { type: 'delete', key: this.decode(event.kv.key), modRevision: BigInt(event.kv.mod_revision) }
  }

  operation(operation: Operation): IRequestOp {
    switch (operation.do) {
      case 'get':
        return { request_range: { key: this.encode(operation.key) } }
      case 'delete':
        return { request_delete_range: { key: this.encode(operation.key) } }
      case 'deletePrefix':
        return { request_delete_range: this.range(operation.prefix) }
      case 'put': {
        const { key, value, lease = 0n } = operation
        return { request_put: { key: this.encode(key), value, lease: lease.toString() } }
      }
    }
  }

  compare(compare: Compare): ICompare {
    const common = { key: this.encode(compare.key), result: RESULT[compare.is] }
    switch (compare.target) {
      case 'version':
        return { ...common, target: 'Version', version: compare.value.toString() }
      case 'modRevision':
        return { ...common, target: 'Mod', mod_revision: compare.value.toString() }
      case 'value':
        return { ...common, target: 'Value', value: compare.value }
    }
  }
}

const RESULT = { '=': 'Equal', '>': 'Greater', '<': 'Less', '!=': 'NotEqual' } as const
