import type { LogicalUnit } from './logical-unit.ts'
import { thresholdSets } from './space-threshold.ts'

/** A log page of parameters, by page code; subpages there are none but the lists. SPC-5 §7.3, SBC-4 §6.4. */
export interface LogParameter {
  readonly code: number
  readonly value: Buffer
}

const SUPPORTED_PAGES = 0x00
const ALL_SUBPAGES = 0xff
const SPF = 0x40
/** FORMAT AND LINKING 11b: a list parameter in binary. SPC-5 §7.3.2.2.2.5. */
const BINARY_LIST = 0x03

const pages: ReadonlyMap<number, (unit: LogicalUnit) => readonly LogParameter[]> = new Map([
  [0x0c, logicalBlockProvisioning],
  [0x2f, informationalExceptions],
])

const Scope = { dedicated: 0b01, shared: 0b10 } as const

/** SBC-4 §6.4.4: what is left belongs to all volumes of the store, what is used to this one. */
function logicalBlockProvisioning({ volume: { space } }: LogicalUnit): LogParameter[] {
  return [
    { code: 0x0001, value: resourceCount(space.availableBytes, Scope.shared) },
    { code: 0x0002, value: resourceCount(space.usedBytes, Scope.dedicated) },
  ]
}

function resourceCount(bytes: number, scope: number): Buffer {
  const value = Buffer.alloc(8)
  value.writeUInt32BE(thresholdSets(bytes), 0)
  value[4] = scope
  return value
}

const NO_TEMPERATURE = 0xff

/** SPC-5 §7.3.8: there are none to report, as mode page 1Ch says too. */
function informationalExceptions(): LogParameter[] {
  return [{ code: 0x0000, value: Buffer.of(0, 0, NO_TEMPERATURE, 0) }]
}

export type LogPage = { readonly page: Buffer } | { readonly refused: 'page' | 'subpage' | 'pointer' }

/**
 * A log page with its header, from parameter `pointer` on. Page 00h and every subpage FFh are lists of what
 * there is: SPC-5 §7.3.18 and §7.3.19.
 */
export function logPage(unit: LogicalUnit, code: number, subpage: number, pointer: number): LogPage {
  if (code !== SUPPORTED_PAGES && !pages.has(code)) return { refused: 'page' }
  if (subpage !== 0 && subpage !== ALL_SUBPAGES) return { refused: 'subpage' }
  if (subpage === ALL_SUBPAGES || code === SUPPORTED_PAGES) {
    if (pointer !== 0) return { refused: 'pointer' }
    return { page: withHeader(code, subpage, listing(code, subpage)) }
  }
  const parameters = pages.get(code)!(unit).filter(parameter => parameter.code >= pointer)
  if (parameters.length === 0) return { refused: 'pointer' }
  return { page: withHeader(code, subpage, Buffer.concat(parameters.map(encodeParameter))) }
}

function listing(code: number, subpage: number): Buffer {
  if (subpage === 0) return Buffer.of(SUPPORTED_PAGES, ...pages.keys())
  const all = [SUPPORTED_PAGES, ...pages.keys()].filter(one => code === SUPPORTED_PAGES || one === code)
  return Buffer.from(all.flatMap(one => [one, 0, one, ALL_SUBPAGES]))
}

function encodeParameter({ code, value }: LogParameter): Buffer {
  return Buffer.concat([Buffer.of(code >> 8, code & 0xff, BINARY_LIST, value.length), value])
}

function withHeader(code: number, subpage: number, body: Buffer): Buffer {
  const header = Buffer.of(subpage === 0 ? code : SPF | code, subpage, 0, 0)
  header.writeUInt16BE(body.length, 2)
  return Buffer.concat([header, body])
}
