exports.average = list => (list.length === 0 ? 0 : list.reduce((sum, n) => sum + n, 0) / list.length);
exports.slug = text => text.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');
