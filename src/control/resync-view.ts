import type { Model } from './model.ts'

/** How far bringing a brick up to date has come. */
export interface ResyncShown {
  /** 0 to 1; null until it is known what is missing. */
  readonly done: number | null
  readonly bytesPerSecond: number
  /** Until the last of what is copied now is there; null while nothing can be said. */
  readonly etaSeconds: number | null
}

/** What owners copy to the peer of this small number now, of one volume or of all; null when nothing. */
export function shownResync(model: Model, to: number, volumeUuid: string | null = null): ResyncShown | null {
  const copies = model.peers
    .flatMap(({ id }) => model.registration(id)?.copies ?? [])
    .filter(copy => copy.to === to && (volumeUuid === null || copy.volumeUuid === volumeUuid))
  if (copies.length === 0) return null
  const sum = (figure: (copy: (typeof copies)[number]) => number) =>
    copies.reduce((total, copy) => total + figure(copy), 0)
  const regionsTotal = sum(copy => copy.regionsTotal)
  const isKnown = copies.every(({ etaSeconds }) => etaSeconds !== null)
  return {
    done: regionsTotal === 0 ? null : Math.min(1, sum(copy => copy.regionsDone) / regionsTotal),
    bytesPerSecond: sum(copy => copy.bytesPerSecond),
    etaSeconds: isKnown ? Math.max(...copies.map(({ etaSeconds }) => etaSeconds ?? 0)) : null,
  }
}
