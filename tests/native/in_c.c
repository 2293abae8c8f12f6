/* in_c.c - softgrad's functions from C: softmax over the middle one of three axes, for every floating type; the
 * instruction set, the threads, the sum. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "softgrad_python.h"

static const sg_api *sg;

/* `half` is NULL unless the array is of a 16-bit type. */
static sg_array array_of(const Py_buffer *a, const sg_half *half) {
    sg_array result;
    result.data = a->buf;
    result.outer = a->strides[0] / a->itemsize;
    result.axis = a->strides[1] / a->itemsize;
    result.inner = a->strides[2] / a->itemsize;
    result.half = half;
    return result;
}

/* Formats: d, f, e; and H for bfloat16, which the buffer protocol has no letter for. */
static int softmax_of(const Py_buffer *x, const Py_buffer *out) {
    const sg_isa *isa = sg->isa();
    const char format = x->format[0];
    const sg_half *half = format == 'e' ? isa->f16 : format == 'H' ? isa->bf16 : NULL;
    int status;
    sg_call call;
    if (x->ndim != 3 || out->ndim != 3 || memcmp(x->shape, out->shape, 3 * sizeof *x->shape) != 0 ||
        x->shape[1] == 0 || strcmp(x->format, out->format) != 0 || !strchr("dfeH", format)) {
        PyErr_SetString(PyExc_ValueError,
                        "softmax: expected x and out of one shape (A, C, B) and one type d, f, e or H");
        return -1;
    }
    call = sg_call_of(x->shape[0], x->shape[1], x->shape[2]);
    call.x = array_of(x, half);
    call.out = array_of(out, half);
    Py_BEGIN_ALLOW_THREADS;
    if (format == 'd') status = sg->run(isa->f64->softmax, &call, sizeof(double));
    else status = sg->run(isa->f32->softmax, &call, sizeof(float)); /* 16-bit types compute in float */
    Py_END_ALLOW_THREADS;
    if (status != 0) PyErr_NoMemory();
    return status;
}

static PyObject *softmax(PyObject *module, PyObject *args) {
    PyObject *arrays[2];
    Py_buffer x, out;
    int status = -1;
    (void)module;
    if (!PyArg_ParseTuple(args, "OO", &arrays[0], &arrays[1])) return NULL;
    if (PyObject_GetBuffer(arrays[0], &x, PyBUF_RECORDS_RO) != 0) return NULL;
    if (PyObject_GetBuffer(arrays[1], &out, PyBUF_RECORDS) == 0) {
        status = softmax_of(&x, &out);
        PyBuffer_Release(&out);
    }
    PyBuffer_Release(&x);
    if (status != 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *sum(PyObject *module, PyObject *array) {
    Py_buffer values;
    double total[2];
    (void)module;
    if (PyObject_GetBuffer(array, &values, PyBUF_SIMPLE) != 0) return NULL;
    sg->sum((const double *)values.buf, values.len / (Py_ssize_t)sizeof(double), total);
    PyBuffer_Release(&values);
    return Py_BuildValue("dd", total[0], total[1]);
}

static PyObject *isa(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    return PyUnicode_FromString(sg->isa()->name);
}

static PyObject *get_num_threads(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    return PyLong_FromLong(sg->get_num_threads());
}

static PyObject *set_num_threads(PyObject *module, PyObject *n) {
    const long threads = PyLong_AsLong(n);
    (void)module;
    if (PyErr_Occurred()) return NULL;
    if (threads < 1 || threads > 1024)
        return PyErr_Format(PyExc_ValueError, "set_num_threads: expected 1 to 1024");
    sg->set_num_threads((int)threads);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"softmax", softmax, METH_VARARGS, "softmax(x, out): over the second of three axes"},
    {"sum", sum, METH_O, "sum(values): of doubles, in two parts"},
    {"isa", isa, METH_NOARGS, "isa(): name of the instruction set in use"},
    {"get_num_threads", get_num_threads, METH_NOARGS, "get_num_threads()"},
    {"set_num_threads", set_num_threads, METH_O, "set_num_threads(n)"},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "in_c", "softgrad from C", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_in_c(void) {
    sg = import_softgrad();
    return sg ? PyModule_Create(&definition) : NULL;
}
