/** How often each kind of thing happened: a run in which one never did proves nothing about it. */
export class Tally {
  readonly counts: Record<string, number> = {}

  add(kind: string, count = 1): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + count
  }

  merge(other: Readonly<Record<string, number>>): void {
    for (const [kind, count] of Object.entries(other)) this.add(kind, count)
  }
}
