/* softgrad_python.h - how other extension modules get the functions of softgrad.h from the installed package. */
#ifndef SOFTGRAD_PYTHON_H
#define SOFTGRAD_PYTHON_H

#include <Python.h>

#include "softgrad.h"

/* For the initialisation of a module, with the GIL held. The table stays where it is for good. NULL, with ImportError
 * set, where softgrad cannot be imported, or is another than the one whose headers the module was compiled with. */
static inline const sg_api *import_softgrad(void) {
    const sg_api *api = (const sg_api *)PyCapsule_Import(SG_CAPSULE, 0);
    if (api && api->minor >= SG_CAPSULE_MINOR && api->call_size == sizeof(sg_call)) return api;
    if (api)
        PyErr_Format(PyExc_ImportError,
                     "softgrad: expected " SG_CAPSULE " of minor version %d or later and calls of %d bytes, "
                     "as this module was compiled for, got %d and %d",
                     SG_CAPSULE_MINOR, (int)sizeof(sg_call), api->minor, (int)api->call_size);
    else if (PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_SetString(PyExc_ImportError,
                        "softgrad: expected " SG_CAPSULE ", as this module was compiled for; "
                        "the installed softgrad has another version of its C interface");
    return NULL;
}

#endif
