"""Extensions: folders with a manifest and a page. No Qt here."""
