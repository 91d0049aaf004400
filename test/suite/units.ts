/** What a test of the suite needs of the logical unit that it is run on. */
export const UNITS = ['fixed', 'read-only', 'removable'] as const
export type UnitName = (typeof UNITS)[number]

/** Suites that skip on any other unit. */
const NEEDS: Readonly<Record<string, UnitName>> = {
  'SCSI.ReadOnly': 'read-only',
  'SCSI.NoMedia': 'removable',
  'SCSI.PreventAllow': 'removable',
  'SCSI.StartStopUnit': 'removable',
}

/** Suites that make sense on these units too, besides the fixed one. */
const ALSO_ON: Partial<Record<UnitName, readonly string[]>> = {
  'read-only': [
    'TestUnitReady',
    'Mandatory',
    'ReadCapacity10',
    'ReadCapacity16',
    'Read6',
    'Read10',
    'Read16',
  ].map(name => `SCSI.${name}`),
  removable: ['SCSI.TestUnitReady', 'SCSI.Mandatory', 'SCSI.Inquiry'],
}

/** The units that a test, FAMILY.SUITE.TEST, is run on: each of them at least on one. */
export function unitsOf(test: string): readonly UnitName[] {
  const suite = test.slice(0, test.lastIndexOf('.'))
  const needed = NEEDS[suite]
  if (needed !== undefined) return [needed]
  return UNITS.filter(unit => unit === 'fixed' || (ALSO_ON[unit]?.includes(suite) ?? false))
}
