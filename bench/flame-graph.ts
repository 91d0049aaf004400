/** The parts of V8's .cpuprofile that are read here. Times are microseconds. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
    readonly children?: readonly number[]
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface Frame {
  readonly name: string
  /** Self and all below, in microseconds. */
  totalUs: number
  selfUs: number
  readonly children: Map<string, Frame>
}

const WIDTH = 1200
const ROW_HEIGHT = 17
const CHARACTER_WIDTH = 6.6
/** Narrower frames cannot be seen or pointed at. */
const NARROWEST = 0.4
const IDLE = new Set(['(idle)', '(program)', '(root)'])

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const file = url.split('/').slice(-2).join('/')
  return `${functionName || '(anonymous)'}${file === '' ? '' : ` ${file}:${lineNumber + 1}`}`
}

/** Merges the samples of a profile into one tree; idle time is left out. */
export function mergeFrames(profile: CpuProfile): Frame {
  const selfUs = new Map<number, number>()
  for (const [at, id] of profile.samples.entries()) {
    selfUs.set(id, (selfUs.get(id) ?? 0) + Math.max(0, profile.timeDeltas[at] ?? 0))
  }
  const nodes = new Map(profile.nodes.map(node => [node.id, node]))
  const enter = (into: Frame, id: number): number => {
    const node = nodes.get(id)
    if (node === undefined || IDLE.has(node.callFrame.functionName)) return 0
    const name = nameOf(node.callFrame)
    const frame = into.children.get(name) ?? { name, totalUs: 0, selfUs: 0, children: new Map() }
    into.children.set(name, frame)
    const self = selfUs.get(id) ?? 0
    const below = (node.children ?? []).reduce((sum, child) => sum + enter(frame, child), 0)
    frame.selfUs += self
    frame.totalUs += self + below
    return self + below
  }
  const root: Frame = { name: 'all', totalUs: 0, selfUs: 0, children: new Map() }
  const top = profile.nodes[0]
  for (const child of top?.children ?? []) root.totalUs += enter(root, child)
  return root
}

function depthOf(frame: Frame): number {
  return 1 + Math.max(0, ...[...frame.children.values()].map(depthOf))
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

/** An SVG that a browser opens: width is time, callers lie below what they call. */
export function flameGraph(root: Frame, title: string): string {
  const height = (depthOf(root) + 2) * ROW_HEIGHT
  const scale = WIDTH / Math.max(1, root.totalUs)
  const parts: string[] = []
  const draw = (frame: Frame, fromUs: number, depth: number) => {
    const width = frame.totalUs * scale
    if (width < NARROWEST) return
    const x = (fromUs * scale).toFixed(1)
    const y = height - (depth + 1) * ROW_HEIGHT
    const percent = ((100 * frame.totalUs) / root.totalUs).toFixed(1)
    const shown = frame.name.slice(0, Math.max(0, Math.floor(width / CHARACTER_WIDTH) - 1))
    const hue = 20 + ((frame.name.length * 7) % 35)
    parts.push(
      `<g><title>${escapeXml(frame.name)}: ${percent} %, itself ${((100 * frame.selfUs) / root.totalUs).toFixed(1)} %</title>` +
        `<rect x="${x}" y="${y}" width="${width.toFixed(1)}" height="${ROW_HEIGHT - 1}" fill="hsl(${hue},75%,65%)"/>` +
        `<text x="${(fromUs * scale + 2).toFixed(1)}" y="${y + 12}">${escapeXml(shown)}</text></g>`,
    )
    let at = fromUs
    const children = [...frame.children.values()].toSorted((a, b) => b.totalUs - a.totalUs)
    for (const child of children) {
      draw(child, at, depth + 1)
      at += child.totalUs
    }
  }
  draw(root, 0, 0)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="11"><text x="2" y="12">${escapeXml(title)}</text>${parts.join('')}</svg>\n`
}

/** Functions by the time spent in themselves, most first. */
export function hottest(root: Frame, atMost: number): { name: string; share: number }[] {
  const self = new Map<string, number>()
  const visit = (frame: Frame) => {
    self.set(frame.name, (self.get(frame.name) ?? 0) + frame.selfUs)
    for (const child of frame.children.values()) visit(child)
  }
  visit(root)
  return [...self]
    .toSorted((a, b) => b[1] - a[1])
    .slice(0, atMost)
    .map(([name, us]) => ({ name, share: us / Math.max(1, root.totalUs) }))
}
