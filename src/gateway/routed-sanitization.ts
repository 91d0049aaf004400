import { BlockStatus } from '../block/block-status.ts'
import type { SanitizeOrder } from '../volume/sanitize/sanitize-state.ts'
import type { VolumeSanitization } from '../volume/volume.ts'
import type { OwnerPort, OwnerState } from './messages.ts'
import type { OwnedService } from './owned-service.ts'

/** The volume that is sanitized. */
export interface SanitizationRoute {
  readonly localService: OwnedService | null
  whenAttached(): Promise<OwnerPort>
}

/** Sanitizing of a volume, wherever its owner is; of a remote one what it said last. */
export class RoutedSanitization implements VolumeSanitization {
  readonly #route: SanitizationRoute
  #refusal: BlockStatus = BlockStatus.ok
  #progress = 0
  #waiting: (() => void)[] = []

  constructor(route: SanitizationRoute) {
    this.#route = route
  }

  get refusal(): BlockStatus {
    return this.#local?.refusal ?? this.#refusal
  }

  get progress(): number {
    return this.#local?.progress ?? this.#progress
  }

  async start(order: SanitizeOrder): Promise<boolean> {
    const port = await this.#route.whenAttached()
    return port.sanitize(order)
  }

  async whenEnded(): Promise<void> {
    const local = this.#local
    if (local !== null) return local.whenEnded()
    while (this.#refusal === BlockStatus.sanitizing) {
      await new Promise<void>(resolve => void this.#waiting.push(resolve))
    }
  }

  async exitFailureMode(): Promise<boolean> {
    const port = await this.#route.whenAttached()
    return port.exitSanitizeFailure()
  }

  become({ sanitizeRefusal, sanitizeProgress }: OwnerState): void {
    this.#refusal = sanitizeRefusal as BlockStatus
    this.#progress = sanitizeProgress
    const waiting = this.#waiting
    this.#waiting = []
    for (const look of waiting) look()
  }

  get #local(): VolumeSanitization | null {
    return this.#route.localService?.volume.sanitization ?? null
  }
}
