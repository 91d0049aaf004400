// @ts-expect-error scripts are plain JavaScript
export { removeLeftovers as setup } from '../../../scripts/lib/leftovers.mjs'
