import { version } from '../package.json';

/** Versions that reports and provenance name. */
export const engineVersion: string = version;
