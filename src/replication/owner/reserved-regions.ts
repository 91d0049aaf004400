import { REGION_BYTES } from '../../store/layout.ts'

const REGIONS_PER_PAGE = 8192

/** Regions for which every present member has space: writes into them need not ask. PROTOCOL rules 10 and 23. */
export class ReservedRegions {
  readonly #pages = new Map<number, Uint8Array>()

  covers(offsetBytes: number, lengthBytes: number): boolean {
    const last = Math.floor((offsetBytes + lengthBytes - 1) / REGION_BYTES)
    for (let region = Math.floor(offsetBytes / REGION_BYTES); region <= last; region++) {
      const page = this.#pages.get(Math.floor(region / REGIONS_PER_PAGE))
      const at = region % REGIONS_PER_PAGE
      if (page === undefined || ((page[at >> 3]! >> (at & 7)) & 1) === 0) return false
    }
    return true
  }

  add(offsetBytes: number, lengthBytes: number): void {
    const last = Math.floor((offsetBytes + lengthBytes - 1) / REGION_BYTES)
    for (let region = Math.floor(offsetBytes / REGION_BYTES); region <= last; region++) {
      const number = Math.floor(region / REGIONS_PER_PAGE)
      let page = this.#pages.get(number)
      if (page === undefined) {
        page = new Uint8Array(REGIONS_PER_PAGE / 8)
        this.#pages.set(number, page)
      }
      const at = region % REGIONS_PER_PAGE
      page[at >> 3]! |= 1 << (at & 7)
    }
  }

  /** A trim may have given the space back. */
  remove(offsetBytes: number, lengthBytes: number): void {
    const last = Math.floor((offsetBytes + lengthBytes - 1) / REGION_BYTES)
    for (let region = Math.floor(offsetBytes / REGION_BYTES); region <= last; region++) {
      const page = this.#pages.get(Math.floor(region / REGIONS_PER_PAGE))
      const at = region % REGIONS_PER_PAGE
      if (page !== undefined) page[at >> 3]! &= ~(1 << (at & 7))
    }
  }

  /** A member came that was not asked. */
  clear(): void {
    this.#pages.clear()
  }
}
