"""SGLang servers, their router, and the handle through which plugins speak to them."""
