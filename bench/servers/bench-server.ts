/** A server under measurement, with one volume of VOLUME_BYTES. Disposing it stops it. */
export interface BenchServer extends AsyncDisposable {
  readonly name: string
  readonly version: string
  readonly argv: readonly string[]
  readonly settings: Readonly<Record<string, unknown>>
  /** iscsi:// or nbd:// address of the volume. */
  readonly url: string
  /** Every process that works for it. */
  readonly pids: readonly number[]
  /** It answers anything from memory: there is nothing to fill and to prewarm. */
  readonly holdsNothing?: boolean
}

export interface ServerPlace {
  /** An empty directory; both servers get one on the same file system. */
  readonly directory: string
  readonly cpu: number
  /** More arguments of Holdfast's command line; nobody else takes them. */
  readonly holdfastArguments?: readonly string[]
}

export const VOLUME_BYTES = 1024 ** 3
