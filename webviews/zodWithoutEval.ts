import { config } from 'zod';

// Imported before any schema is built: zod would otherwise probe `new Function`, which the content security policy reports.
config({ jitless: true });
